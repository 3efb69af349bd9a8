//! In a program that is built without PostgreSQL: what is asked of a database is refused.

use indelible_disk::RealDisk;
use indelible_log::env::Env;
use indelible_store::{Error, Kind, Result};

use crate::backup::{BackedUp, Order};
use crate::directory::{Directory, Names, Tell};
use crate::found::Found;
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

/// Refused.
pub(crate) fn back_up(_: &Order<'_>, _: &str, _: &Env, _: Tell<'_>) -> Result<BackedUp> {
    absent()
}

/// Refused.
pub(crate) fn restore(
    _: &Found,
    _: Option<&RealDisk>,
    _: &Names,
    _: &Env,
    _: Tell<'_>,
) -> Result<()> {
    absent()
}
