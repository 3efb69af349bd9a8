//! Disclosures of stored records: what was sealed, with what a verifier needs to check it.

use indelible_event::ids::{AuditId, TenantId};
use indelible_event::{EventView, Field};
use indelible_proof::disclosure::{DisclosureLine, disclosure_bytes};
use indelible_store::{Error, Kind, Result, StoredRecord};
use serde_json::value::RawValue;

use crate::keyring::{Disclosure, Keyring, Sealed};

/// The disclosures of one record.
#[derive(Debug, Default)]
pub struct Disclosed {
    /// One line per subject whose values could all be opened, sorted by subject.
    pub lines: Vec<DisclosureLine>,
    /// Subjects whose values stay closed, and why.
    pub closed: Vec<(String, Sealed)>,
}

/// Opens every personal value of a record.
///
/// # Errors
/// As the key store's; values that stay closed are no error.
pub fn disclose(
    keyring: &Keyring,
    tenant: &TenantId,
    event: &EventView<'_>,
    record: &StoredRecord<'_>,
) -> Result<Disclosed> {
    let mut disclosed = Disclosed::default();
    if record.sealed.is_empty() {
        return Ok(disclosed);
    }
    if record.unread.is_some() {
        // Some values of a subject are not what it is committed to, and whose are missing is in
        // what cannot be read.
        let handles = record.sealed.iter().map(|value| value.handle.to_string());
        disclosed.closed = handles.map(|handle| (handle, Sealed::Damaged)).collect();
        disclosed.closed.dedup();
        return Ok(disclosed);
    }
    let id = event.text(Field::AuditId).unwrap_or_default();
    let audit_id = AuditId::parse(&id)
        .map_err(|e| Error::new(Kind::Corrupt, format!("an event of {tenant}")).caused_by(e))?;
    let mut opened: Vec<Disclosure> = Vec::new();
    for value in keyring.disclosures(tenant, audit_id, record.sealed)? {
        match value {
            Ok(disclosure) => opened.push(disclosure),
            Err((handle, why)) => {
                let handle = handle.to_string();
                if !disclosed.closed.iter().any(|(known, _)| *known == handle) {
                    disclosed.closed.push((handle, why));
                }
            }
        }
    }
    opened.sort_by(|a, b| (a.handle, &a.pointer).cmp(&(b.handle, &b.pointer)));
    for of_one in opened.chunk_by(|a, b| a.handle == b.handle) {
        let Some(first) = of_one.first() else {
            continue;
        };
        let subject = first.handle.to_string();
        if disclosed
            .closed
            .iter()
            .any(|(handle, _)| *handle == subject)
        {
            continue;
        }
        let disclosures = of_one.iter().map(raw).collect::<Result<Vec<_>>>()?;
        disclosed.lines.push(DisclosureLine {
            audit_id: id.clone().into_owned(),
            disclosures,
            sequence_number: record.sequence_number,
            subject,
            tenant_id: tenant.as_str().to_owned(),
        });
    }
    Ok(disclosed)
}

fn raw(disclosure: &Disclosure) -> Result<Box<RawValue>> {
    let Disclosure {
        salt,
        pointer,
        value,
        ..
    } = disclosure;
    let bytes = disclosure_bytes(salt, pointer, value.as_bytes());
    String::from_utf8(bytes)
        .map_err(|e| e.to_string())
        .and_then(|text| RawValue::from_string(text).map_err(|e| e.to_string()))
        .map_err(|e| Error::new(Kind::Corrupt, format!("a personal value of a record: {e}")))
}
