//! A gRPC service with tonic whose calls are in its audit trail: who called what, with which status
//! it ended, and why it was denied. And a client that calls it.
//!
//! `cargo run -p indelible --features tower --example tonic_server -- DIR [ADDRESS]`. Messages are
//! plain text and the service is written by hand, so that the example needs no `protoc`; a service
//! that is generated takes the same layer.
#![allow(clippy::print_stdout, reason = "an example speaks to its reader")]

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BufMut};
use http::uri::PathAndQuery;
use indelible::web::{AuditLayer, RequestAudit};
use indelible::{Actor, Audit, Denial};
use tokio::sync::oneshot;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::server::{TcpConnectInfo, TcpIncoming};
use tonic::transport::{Channel, Server};
use tonic::{Code, Request, Response, Status};
use tower::{Service, service_fn};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().unwrap_or_else(|| "audit".into());
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:0".into());
    let audit = Arc::new(Audit::embedded(&directory).service("blog").build()?);

    let calls = AuditLayer::new(Arc::clone(&audit), "acme")
        .peer(|parts| {
            let connected = parts.extensions.get::<TcpConnectInfo>()?;
            Some(connected.remote_addr()?.ip())
        })
        .skip_path("/grpc.health.v1.Health");
    let incoming = TcpIncoming::bind(address.parse()?)?;
    let address = incoming.local_addr()?;
    println!("listening on {address}");
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async move { drop(stopped.await) };
    let server = Server::builder()
        .layer(calls)
        .serve_with_incoming_shutdown(Posts, incoming, stopped);
    let server = tokio::spawn(server);

    call(&format!("http://{address}")).await?;
    drop(stop);
    server.await??;
    let report = tokio::task::spawn_blocking(move || audit.close(Duration::from_secs(10))).await?;
    println!("{report}");
    Ok(())
}

/// The service `blog.Posts`.
#[derive(Clone)]
struct Posts;

impl Service<http::Request<Body>> for Posts {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(Text);
            Ok(match request.uri().path() {
                "/blog.Posts/Read" => grpc.unary(service_fn(read), request).await,
                "/blog.Posts/Delete" => grpc.unary(service_fn(delete), request).await,
                "/blog.Posts/List" => grpc.server_streaming(service_fn(list), request).await,
                _ => Status::unimplemented("there is no such method").into_http(),
            })
        })
    }
}

/// Who calls: here by metadata that anybody could send, in an application by its sessions.
fn who(request: &Request<String>) -> Result<(RequestAudit, bool), Status> {
    let audit = request.extensions().get::<RequestAudit>();
    let audit = audit.cloned().unwrap_or_default();
    let name = request.metadata().get("x-user");
    let Some(name) = name.and_then(|name| name.to_str().ok()) else {
        audit.deny("nobody is logged in");
        return Err(Status::unauthenticated("say who you are"));
    };
    let role = if name == "ada" { "owner" } else { "reader" };
    audit.identify(Actor::user(name).role(role));
    Ok((audit, role == "owner"))
}

async fn read(request: Request<String>) -> Result<Response<String>, Status> {
    who(&request)?;
    Ok(Response::new(format!("post {}", request.get_ref())))
}

async fn delete(request: Request<String>) -> Result<Response<String>, Status> {
    let (audit, is_owner) = who(&request)?;
    if !is_owner {
        let denial = Denial::by("delete").reason("insufficient_permission");
        audit.deny(denial.required_role("owner").actual_role("reader"));
        return Err(Status::permission_denied("only its owner deletes a post"));
    }
    Ok(Response::new(format!("deleted {}", request.get_ref())))
}

type Listed = tokio_stream::Iter<std::vec::IntoIter<Result<String, Status>>>;

/// Lists posts, and fails after the second: the status comes when the head of the answer has long
/// been sent.
async fn list(request: Request<String>) -> Result<Response<Listed>, Status> {
    who(&request)?;
    let posts = vec![
        Ok("post 1".to_owned()),
        Ok("post 2".to_owned()),
        Err(Status::data_loss("the third cannot be read")),
    ];
    Ok(Response::new(tokio_stream::iter(posts)))
}

/// The client.
async fn call(address: &str) -> Result<(), Box<dyn Error>> {
    let channel = Channel::from_shared(address.to_owned())?.connect().await?;
    let mut client = tonic::client::Grpc::new(channel);
    for (method, user) in [
        ("/blog.Posts/Read", None),
        ("/blog.Posts/Read", Some("bob")),
        ("/blog.Posts/Delete", Some("bob")),
        ("/blog.Posts/Delete", Some("ada")),
        ("/blog.Posts/Burn", Some("ada")),
    ] {
        client.ready().await?;
        let answer = client.unary(said(user)?, PathAndQuery::from_static(method), Text);
        match answer.await {
            Ok(answer) => println!("{method}: {}", answer.get_ref()),
            Err(status) => println!("{method}: {:?}", status.code()),
        }
    }
    client.ready().await?;
    let list = PathAndQuery::from_static("/blog.Posts/List");
    let answer = client.server_streaming(said(Some("bob"))?, list, Text);
    let mut posts = answer.await?.into_inner();
    let mut count = 0;
    let end = loop {
        match posts.message().await {
            Ok(Some(_)) => count += 1,
            Ok(None) => break Code::Ok,
            Err(status) => break status.code(),
        }
    };
    println!("/blog.Posts/List: {count} posts, {end:?}");
    Ok(())
}

fn said(user: Option<&'static str>) -> Result<Request<String>, Box<dyn Error>> {
    let mut request = Request::new("1".to_owned());
    if let Some(user) = user {
        request.metadata_mut().insert("x-user", user.parse()?);
    }
    Ok(request)
}

/// Messages that are text.
struct Text;

impl Codec for Text {
    type Encode = String;
    type Decode = String;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Text {
    type Item = String;
    type Error = Status;

    fn encode(&mut self, text: String, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put_slice(text.as_bytes());
        Ok(())
    }
}

impl Decoder for Text {
    type Item = String;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<String>, Status> {
        let bytes = from.copy_to_bytes(from.remaining());
        match String::from_utf8(bytes.to_vec()) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(Status::invalid_argument("that is no text")),
        }
    }
}
