//! Payloads, and random conditions on values inside of events: taken from what stands there, and a
//! little beside it.

use std::ops::Bound;

use indelible_event::canonical::{string_token, unescape};
use indelible_event::view::string_content;
use indelible_event::walk::{Walk, walk};
use indelible_event::{EventView, Field};
use serde_json::{Map, Value, json};

use crate::conformance::Random;
use crate::terms::{Column, normalise};
use crate::{Decimal, Expr, Network, Path, Pattern, Test};

/// Numbers that a machine number rounds, or writes in another way. Marked, so that they come into
/// the event as they stand here: see [`unmarked`].
const NUMBERS: [&str; 8] = [
    "#9007199254740992#",
    "#9007199254740993#",
    "#1.50#",
    "#15e-1#",
    "#-0.0#",
    "#1e400#",
    "#0.1000000000000000055511151231257827021181583404541015625#",
    "#123456789012345678901234567890#",
];

/// Takes the marks off numbers.
pub(super) fn unmarked(event: &str) -> String {
    event.replace("\"#", "").replace("#\"", "")
}

/// What applications put where the model leaves them free, or where it has more than most need.
pub(super) fn payload(random: &mut Random, members: &mut Map<String, Value>) {
    if random.chance(40)
        && let Some(Value::Object(data)) = members.get_mut("data")
    {
        data.insert("total".into(), (*random.pick(&NUMBERS)).into());
        data.insert(
            "paid".into(),
            random
                .pick(&[json!(true), json!(false), json!(null)])
                .clone(),
        );
        let items = (0..random.below(4)).map(|_| {
            let sku = *random.pick(&["A-1", "b 2", "Ünï", "", "7", "true"]);
            json!({"sku": sku, "price": *random.pick(&NUMBERS), "a.b": {"c\\": random.below(3)}})
        });
        data.insert("items".into(), items.collect());
        let tags = *random.pick(&["Red", "green", "1.5", "null"]);
        data.insert("tags".into(), json!([tags, random.below(4), [false, null]]));
    }
    if random.chance(25) {
        let role = *random.pick(&["Admin", "editor"]);
        let changes = json!({"before": {"role": "guest", "level": random.below(3)},
            "after": {"role": role}, "fields": ["role", "level"]});
        members.insert("changes".into(), changes);
    }
    if random.chance(15) {
        let digest = "sha256:".to_owned() + &"0f".repeat(32);
        let named = json!({"bytes": random.below(9), "digest": digest, "type": "image/png"});
        let proof = json!({"type": "screenshot", "data": {"attachment": named}});
        members.insert("proof".into(), proof);
    }
    if random.chance(10) {
        let empty = [json!(null), json!({}), json!([]), json!("")];
        members.insert("metadata".into(), random.pick(&empty).clone());
    }
    if random.chance(20)
        && let Some(Value::Object(took)) = members.get_mut("performance")
    {
        let odd = [
            "#0.30000000000000004#",
            "#0.3#",
            "#1e400#",
            "#2500.000#",
            "#12.75#",
        ];
        took.insert("duration_ms".into(), (*random.pick(&odd)).into());
    }
}

/// A pattern that a text matches, or nearly.
pub(super) fn pattern(random: &mut Random, text: &str) -> Pattern {
    let chars: Vec<char> = text.chars().collect();
    let from = if random.chance(30) {
        random.index(chars.len() + 1)
    } else {
        0
    };
    let end = chars.len()
        - if random.chance(60) {
            random.index(chars.len() - from + 1)
        } else {
            0
        };
    let mut pattern = String::new();
    if from > 0 {
        pattern.push('*');
    }
    for c in chars.get(from..end).unwrap_or_default() {
        match random.below(40) {
            0 => pattern.push('?'),
            1 => pattern.push('*'),
            _ => {
                if matches!(c, '*' | '?' | '\\') {
                    pattern.push('\\');
                }
                pattern.push(*c);
            }
        }
    }
    if end < chars.len() && random.chance(90) {
        pattern.push('*');
    }
    Pattern::parse(&pattern)
}

/// A network that an address is in, or nearly.
fn network(random: &mut Random, address: &str) -> Expr {
    let prefix = random.between(6, 32) * if address.contains(':') { 4 } else { 1 };
    let network = Network::parse(&format!("{address}/{prefix}"));
    network.map_or(Expr::All, Expr::Within)
}

/// A condition on what stands in this event, or nearly.
pub(super) fn condition(random: &mut Random, event: &str) -> Expr {
    let Ok(view) = EventView::parse(event.as_bytes()) else {
        return Expr::All;
    };
    match random.below(10) {
        0 if random.chance(30) => Expr::Attachment,
        0 => {
            let address = view.text(Field::ActorIp);
            network(random, address.as_deref().unwrap_or("10.1.1.1"))
        }
        1 | 2 => {
            let there: Vec<_> = view.fields().map(|(field, _)| field).collect();
            let all = if random.chance(60) {
                &there
            } else {
                Field::ALL
            };
            Expr::At((*random.pick(all)).into(), Test::There)
        }
        3..6 => {
            let (_, field) = *random.pick(&Column::ALL);
            let token = view.raw(field).unwrap_or("7");
            Expr::At(field.into(), test(random, token))
        }
        _ => within(random, &view),
    }
}

/// A condition on a value in `data` or `changes`.
fn within(random: &mut Random, view: &EventView<'_>) -> Expr {
    let field = *random.pick(&[Field::Data, Field::Data, Field::Changes]);
    let mut values: Vec<(Vec<String>, String)> = Vec::new();
    if let Some(token) = view.raw(field) {
        collect(token, &mut Vec::new(), &mut values);
    }
    if values.is_empty() {
        return Expr::At(field.into(), Test::There);
    }
    let (mut steps, token) = random.pick(&values).clone();
    if random.chance(40) {
        // Any item of a list instead of one of them.
        steps.retain(|step| step.parse::<usize>().is_err());
    }
    if random.chance(5) {
        steps.push("0".into());
    }
    let path = Path { field, steps };
    if random.chance(10) {
        return Expr::At(path, Test::There);
    }
    Expr::At(path, test(random, &token))
}

/// Every value without others in it, and the way to it.
fn collect(token: &str, steps: &mut Vec<String>, values: &mut Vec<(Vec<String>, String)>) {
    if !token.starts_with(['{', '[']) {
        values.push((steps.clone(), token.to_owned()));
        return;
    }
    let mut at = 0;
    walk(token, &mut |place| {
        let key = place.key().filter(|_| !place.is_item());
        steps.push(key.map_or_else(|| at.to_string(), |key| unescape(key).into_owned()));
        collect(place.raw(), steps, values);
        steps.pop();
        at += 1;
        Walk::Over
    });
}

/// What a value passes, or one near it.
fn test(random: &mut Random, token: &str) -> Test {
    if let Some(content) = string_content(token) {
        let mut text = normalise(&unescape(content)).into_owned();
        if random.chance(15) {
            text.push('x');
        }
        if random.chance(20) {
            return Test::Like(pattern(random, &text));
        }
        return match Decimal::parse(&text) {
            // Digits in a text are no number.
            Some(number) if random.chance(30) => exactly(number),
            _ => Test::Text(text),
        };
    }
    match token {
        "null" => Test::Null,
        "true" | "false" => Test::Flag((token == "true") == random.chance(80)),
        _ => {
            let Some(number) = Decimal::parse(token) else {
                return Test::There;
            };
            if random.chance(10) {
                return Test::Text(
                    string_content(&string_token(token))
                        .unwrap_or("")
                        .to_owned(),
                );
            }
            range(random, number, token)
        }
    }
}

fn exactly(number: Decimal) -> Test {
    Test::Number(Bound::Included(number.clone()), Bound::Included(number))
}

/// A range around a number, or one that it is just not in.
fn range(random: &mut Random, number: Decimal, token: &str) -> Test {
    // The next number to write with one digit more.
    let longer = if token.contains('.') { "1" } else { ".1" };
    let beside = Decimal::parse(&format!("{token}{longer}")).unwrap_or_else(|| number.clone());
    match random.below(8) {
        0..3 => exactly(number),
        3 => Test::Number(Bound::Included(number), Bound::Unbounded),
        4 => Test::Number(Bound::Excluded(number), Bound::Unbounded),
        5 => Test::Number(Bound::Unbounded, Bound::Excluded(beside)),
        6 => Test::Number(
            Bound::Included(number.clone()),
            Bound::Included(beside.max(number)),
        ),
        _ => exactly(beside),
    }
}
