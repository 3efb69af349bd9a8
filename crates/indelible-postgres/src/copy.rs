//! Rows on their way into a table by binary COPY, in pieces that are worth a message.
//!
//! The client's own writer hands on every two rows, from one thread to another each time: at the
//! rate at which PostgreSQL takes rows that costs as much as making them. Source: PostgreSQL 15
//! documentation, "COPY", "Binary Format".

use std::pin::Pin;

use bytes::{BufMut, Bytes, BytesMut};
use deadpool_postgres::ClientWrapper as Client;
use futures_util::SinkExt as _;
use indelible_store::{Error, Kind, Result};
use tokio_postgres::CopyInSink;
use tokio_postgres::types::{IsNull, ToSql, Type};

use crate::failure::failed;

/// What opens a copy: the signature, no flags, no extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// What ends it, in the place of a row's number of fields.
const TRAILER: i16 = -1;
/// The length of a value that is null.
const NULL: i32 = -1;
/// A piece is handed on when it is this long, in bytes.
const PIECE_BYTES: usize = 64 << 10;

/// A copy under way; what is not finished is aborted when it is dropped.
pub(crate) struct Copy<'a> {
    doing: &'static str,
    sink: Pin<Box<CopyInSink<Bytes>>>,
    types: &'a [Type],
    piece: BytesMut,
}

impl<'a> Copy<'a> {
    /// Begins `COPY … FROM STDIN BINARY` of columns of these types.
    ///
    /// # Errors
    /// As the server's; they say what was being done.
    pub(crate) async fn begin(
        client: &Client,
        copy: &str,
        types: &'a [Type],
        doing: &'static str,
    ) -> Result<Self> {
        let oops = |error| failed(doing, error);
        let copy = client.prepare_cached(copy).await.map_err(oops)?;
        let sink = client.copy_in(&copy).await.map_err(oops)?;
        let mut piece = BytesMut::with_capacity(PIECE_BYTES);
        piece.put_slice(HEADER);
        Ok(Self {
            doing,
            sink: Box::pin(sink),
            types,
            piece,
        })
    }

    /// Writes a row of as many values as there are columns.
    ///
    /// # Errors
    /// A value that has no form in the type of its column, or the connection's.
    pub(crate) async fn row(&mut self, values: &[&(dyn ToSql + Sync)]) -> Result<()> {
        let invalid = |said: String| Error::new(Kind::Invalid, said);
        let count = i16::try_from(values.len()).ok();
        let count = count.filter(|_| values.len() == self.types.len());
        let count =
            count.ok_or_else(|| invalid("a row has other columns than its table".into()))?;
        self.piece.put_i16(count);
        for (value, column) in values.iter().zip(self.types) {
            let at = self.piece.len();
            self.piece.put_i32(NULL);
            let null = value.to_sql_checked(column, &mut self.piece);
            let null = null.map_err(|error| invalid(format!("{}: {error}", self.doing)))?;
            if let IsNull::Yes = null {
                continue;
            }
            let length = self.piece.len() - at - size_of::<i32>();
            let length = i32::try_from(length).map_err(|error| invalid(error.to_string()))?;
            if let Some(place) = self.piece.get_mut(at..at + size_of::<i32>()) {
                place.copy_from_slice(&length.to_be_bytes());
            }
        }
        if self.piece.len() < PIECE_BYTES {
            return Ok(());
        }
        self.hand_on().await
    }

    /// Ends the copy: the server has taken all rows.
    ///
    /// # Errors
    /// As the server's, which may be of any row.
    pub(crate) async fn finish(mut self) -> Result<()> {
        self.piece.put_i16(TRAILER);
        self.hand_on().await?;
        let finished = self.sink.as_mut().finish().await;
        finished
            .map_err(|error| failed(self.doing, error))
            .map(drop)
    }

    async fn hand_on(&mut self) -> Result<()> {
        let piece = std::mem::replace(&mut self.piece, BytesMut::with_capacity(PIECE_BYTES * 2));
        let handed = self.sink.send(piece.freeze()).await;
        handed.map_err(|error| failed(self.doing, error))
    }
}
