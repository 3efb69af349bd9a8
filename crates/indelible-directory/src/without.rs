//! In a program that is built without PostgreSQL: what is asked of a database is refused.

use indelible_disk::RealDisk;
use indelible_log::env::Env;
use indelible_store::{Error, Kind, Result};

use crate::directory::{Directory, Names};
use crate::keys::KeyFolder;

fn absent<T>() -> Result<T> {
    let said = "this program is built without the feature `postgres`, which a ledger in a database \
                needs";
    Err(Error::new(Kind::Invalid, said))
}

/// Refused.
pub(crate) fn find(_: &Names, _: &str) -> Result<Option<(RealDisk, KeyFolder)>> {
    absent()
}

/// Refused.
pub(crate) fn read(_: &Names, _: &str, _: Env) -> Result<Option<Directory>> {
    absent()
}

/// Refused.
pub(crate) fn write(_: &Names, _: &str, _: Option<&str>, _: Env) -> Result<Directory> {
    absent()
}
