//! Whether an event with a known id says what its record says.
//!
//! Salts come from the subject's key of the generation in force, so the same event submitted later
//! may be sealed otherwise. It is then sealed again under the handles its first record names; where
//! a key has been destroyed since, the unsealed part decides (`spec/event.md`, "Ids").

use indelible_event::EventView;
use indelible_store::Result;
use indelible_store::terms::sealed_subjects;

use crate::keyring::{Keyring, parse_handle};
use crate::prepare::Prepared;
use crate::seal::{seal_again, unsealed_part};

/// Compares a prepared event with the event of the record that has its id.
///
/// # Errors
/// As the key store's.
pub(crate) fn same_content(keyring: &Keyring, new: &Prepared, kept: &[u8]) -> Result<bool> {
    if new.event() == kept {
        return Ok(true);
    }
    let (Some(policy), Ok(view)) = (&new.policy, EventView::parse(kept)) else {
        return Ok(false);
    };
    // Another writer may have been first with the tenant or the person, and ours are not known to
    // be superseded before they are written: under them equal events are not equal.
    if !new.new_keys.is_empty() {
        keyring.flush_pending()?;
    }
    let handles: Vec<_> = sealed_subjects(&view).filter_map(parse_handle).collect();
    let (admitted, _) = new.admitted(keyring)?;
    let again = seal_again(
        &admitted,
        new.audit_id,
        policy,
        keyring,
        (&new.tenant, &handles),
    )?;
    Ok(again.bytes == kept || (again.erased && unsealed_part(&again.bytes) == unsealed_part(kept)))
}
