//! In a program that is built without PostgreSQL: no database can be named, so none is opened.

use indelible_disk::RealDisk;
use indelible_log::env::Env;
use indelible_store::Result;

use crate::directory::{Directory, Names};
use crate::keys::KeyFolder;

/// How a database is reached: there is no such value.
#[derive(Clone, Copy, Debug)]
pub enum Options {}

/// Never called.
pub(crate) fn find(_: &Names, database: &Options) -> Result<Option<(RealDisk, KeyFolder)>> {
    match *database {}
}

/// Never called.
pub(crate) fn read(_: &Names, database: &Options, _: Env) -> Result<Option<Directory>> {
    match *database {}
}

/// Never called.
pub(crate) fn write(_: &Names, database: &Options, _: Option<&str>, _: Env) -> Result<Directory> {
    match *database {}
}
