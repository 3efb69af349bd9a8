//! Admission makes of the events in `spec/vectors/event-admission.json` what stands beside them.
#![allow(clippy::unwrap_used, reason = "tests")]

use indelible_event::canonical::{Json, is_canonical};
use indelible_event::catalogue::NATIVE;
use indelible_event::{
    Admission, Admitted, LedgerFlag, Micros, Mode, Origin, Problem, TenantId, admit,
};

type Place = (String, String, Option<u64>);

/// The file, and what is the same for all its vectors.
struct Vectors {
    file: Json,
    now: Micros,
    random: Vec<u8>,
}

impl Vectors {
    fn read() -> Self {
        let file = include_bytes!("../../../spec/vectors/event-admission.json");
        let file = Json::parse(file).unwrap();
        assert_eq!(text(&file, "dialect"), "native");
        Self {
            now: Micros::parse(text(&file, "now")).unwrap(),
            random: unhex(text(&file, "random")),
            file,
        }
    }

    /// Calls `check` with each vector, its name and mode, and what admission says of it.
    fn each(&self, list: &str, check: impl Fn(&Json, &str, Result<Admitted<'_>, Vec<Problem>>)) {
        let vectors = items(&self.file, list);
        assert!(!vectors.is_empty());
        for vector in vectors {
            let tenant = vector.pointer("/tenant").and_then(Json::as_text);
            let tenant = tenant.map(|name| TenantId::parse(name).unwrap());
            assert!(!items(vector, "modes").is_empty());
            for mode in items(vector, "modes") {
                let word = mode.as_text().unwrap();
                let name = format!("{}, {word}", text(vector, "name"));
                let admission = Admission {
                    mode: match word {
                        "strict" => Mode::Strict,
                        "lenient" => Mode::Lenient,
                        other => panic!("{other}"),
                    },
                    catalogue: &NATIVE,
                    dialect: "native",
                    origin: Origin::Producer,
                    tenant: tenant.as_ref(),
                    now: self.now,
                };
                let mut random = |bytes: &mut [u8]| bytes.copy_from_slice(&self.random);
                let raw = input(vector);
                let answer = admit(&raw, &admission, &mut random);
                check(vector, &name, answer);
            }
        }
    }
}

fn text<'j>(json: &'j Json, key: &str) -> &'j str {
    json.pointer(&format!("/{key}")).unwrap().as_text().unwrap()
}

fn items<'j>(json: &'j Json, key: &str) -> &'j [Json] {
    json.pointer(&format!("/{key}")).unwrap().as_list().unwrap()
}

fn texts<'j>(json: &'j Json, key: &str) -> Vec<&'j str> {
    let items = items(json, key).iter();
    items.map(|item| item.as_text().unwrap()).collect()
}

fn unhex(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks_exact(2);
    pairs
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn input(vector: &Json) -> Vec<u8> {
    match vector.pointer("/input_hex") {
        Some(digits) => unhex(digits.as_text().unwrap()),
        None => filled(vector, "input").into_bytes(),
    }
}

/// A text with what `<fill>` stands for.
fn filled(vector: &Json, key: &str) -> String {
    let text = text(vector, key);
    match vector.pointer("/fill").and_then(Json::as_u64) {
        Some(count) => text.replace("<fill>", &"x".repeat(usize::try_from(count).unwrap())),
        None => text.to_owned(),
    }
}

/// The places of a vector's problems; those that lenient mode let pass are named without offsets.
fn expected(vector: &Json, key: &str) -> Vec<Place> {
    let of = |problem: &Json| {
        let offset = problem.pointer("/offset").and_then(Json::as_u64);
        let [pointer, code] = ["pointer", "code"].map(|key| text(problem, key).to_owned());
        (pointer, code, offset)
    };
    items(vector, key).iter().map(of).collect()
}

fn found(problems: &[Problem]) -> Vec<Place> {
    let of = |problem: &Problem| {
        let offset = problem.offset.map(|offset| offset as u64);
        (problem.pointer.clone(), problem.code.to_string(), offset)
    };
    let mut places: Vec<_> = problems.iter().map(of).collect();
    places.sort();
    places
}

#[test]
fn events_that_are_taken() {
    Vectors::read().each("accept", |vector, name, answer| {
        let admitted = answer.unwrap_or_else(|problems| panic!("{name}: {problems:?}"));
        let canonical = filled(vector, "canonical");
        assert_eq!(
            str::from_utf8(&admitted.bytes).unwrap(),
            canonical,
            "{name}"
        );
        assert!(is_canonical(&admitted.bytes), "{name}");
        assert_eq!(admitted.audit_id.to_string(), text(vector, "audit_id"));
        let occurred_at = admitted.occurred_at.to_rfc3339();
        assert_eq!(occurred_at, text(vector, "occurred_at"), "{name}");
        let flags: Vec<_> = admitted.flags.iter().map(|flag| flag.as_str()).collect();
        assert_eq!(flags, texts(vector, "flags"), "{name}");
        assert_eq!(admitted.redactions, texts(vector, "redactions"), "{name}");
        let mut tolerated = found(&admitted.tolerated);
        for place in &mut tolerated {
            place.2 = None;
        }
        assert_eq!(tolerated, expected(vector, "tolerated"), "{name}");
        assert_eq!(admitted.schema_valid, tolerated.is_empty(), "{name}");
        let lenient = admitted.flags.contains(&LedgerFlag::Lenient);
        assert_eq!(lenient, !tolerated.is_empty(), "{name}");
    });
}

#[test]
fn events_that_are_refused() {
    Vectors::read().each("refuse", |vector, name, answer| {
        let problems = answer.map(|admitted| admitted.bytes).expect_err(name);
        assert_eq!(found(&problems), expected(vector, "problems"), "{name}");
    });
}
