//! In a program that is built without PostgreSQL: no database can be named, so none is opened.

use indelible_disk::RealDisk;
use indelible_log::env::Env;
use indelible_store::Result;

use crate::backup::{BackedUp, Order};
use crate::directory::{Directory, Names, Tell};
use crate::found::Found;
use crate::keys::KeyFolder;

/// How a database is reached: there is no such value.
#[derive(Clone, Debug)]
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

/// Never called.
pub(crate) fn repair(_: &Names, database: &Options, _: &Env, _: Tell<'_>) -> Result<()> {
    match *database {}
}

/// Never called.
pub(crate) fn back_up(_: &Order<'_>, database: &Options, _: &Env, _: Tell<'_>) -> Result<BackedUp> {
    match *database {}
}

/// Never called.
pub(crate) fn restore(
    _: &Found,
    _: Option<&RealDisk>,
    (_, database): (&Names, &Options),
    _: &Env,
    _: Tell<'_>,
) -> Result<()> {
    match *database {}
}
