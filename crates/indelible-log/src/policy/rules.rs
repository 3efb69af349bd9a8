//! A policy's pointers as a tree, walked beside the event so that nothing is compared twice.
//!
//! Segments are kept as they stand between the quotes of a canonical key.

use indelible_event::canonical::string_token;

use super::PolicyError;

/// What is done with the value at a pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Sealed, searchable.
    Field,
    /// Sealed as a blob.
    Whole,
    /// Masked, the original sealed as a blob.
    Mask,
}

/// A value that sealing has to know, to know whose the others are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Capture {
    ActorType = 0,
    ActorId = 1,
    TargetType = 2,
    TargetId = 3,
    TargetUid = 4,
}

/// A pointer of the policy.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) action: Action,
    /// The pointer as the policy has it.
    pub(crate) pointer: Box<str>,
    /// Whether it names one place, having no `*`.
    pub(crate) literal: bool,
    /// Whether it is one of the model's own fields, found under its pointer.
    pub(crate) model: bool,
    /// Whether values that name a service stay.
    pub(crate) spares_services: bool,
}

/// One step of the tree.
#[derive(Clone, Debug, Default)]
pub(crate) struct Node {
    children: Vec<(Box<str>, Self)>,
    any: Option<Box<Self>>,
    pub(crate) rule: Option<Box<Rule>>,
    pub(crate) capture: Option<Capture>,
}

impl Node {
    /// The node below, for a key as it stands between its quotes, or an item.
    pub(crate) fn child(&self, key: &str) -> Option<&Self> {
        match self.children.iter().find(|(segment, _)| **segment == *key) {
            Some((_, node)) => Some(node),
            None => self.any.as_deref(),
        }
    }

    /// The node below, for an item of an array.
    pub(crate) fn item(&self, index: usize) -> Option<&Self> {
        if self.children.is_empty() {
            return self.any.as_deref();
        }
        self.child(&index.to_string())
    }

    /// The node of a pointer without escapes.
    pub(super) fn at(&self, pointer: &str) -> Option<&Self> {
        let mut segments = pointer.split('/').skip(1);
        segments.try_fold(self, |node, segment| node.child(segment))
    }

    pub(super) fn add(&mut self, pointer: &str, action: Action) -> Result<(), PolicyError> {
        let wrong = || PolicyError::Pointer(pointer.to_owned());
        let twice = || PolicyError::Twice(pointer.to_owned());
        let mut node = self;
        for segment in pointer.strip_prefix('/').ok_or_else(wrong)?.split('/') {
            if node.rule.is_some() {
                return Err(twice());
            }
            node = node.step(&unescape_segment(segment).ok_or_else(wrong)?);
        }
        if node.rule.is_some() || !node.children.is_empty() || node.any.is_some() {
            return Err(twice());
        }
        let model = super::FIELDS.contains(&pointer);
        let spares_services =
            model && (pointer.ends_with("/ip") || pointer.ends_with("/user_agent"));
        let literal = !pointer.split('/').any(|segment| segment == "*");
        let pointer = pointer.into();
        node.rule = Some(Box::new(Rule {
            action,
            pointer,
            literal,
            model,
            spares_services,
        }));
        Ok(())
    }

    /// Marks the values that tell subjects.
    pub(super) fn capture(&mut self) {
        let places = [
            ("actor", "type", Capture::ActorType),
            ("actor", "id", Capture::ActorId),
            ("target", "type", Capture::TargetType),
            ("target", "id", Capture::TargetId),
            ("target", "uid", Capture::TargetUid),
        ];
        for (group, key, capture) in places {
            self.step(group).step(key).capture = Some(capture);
        }
    }

    fn step(&mut self, segment: &str) -> &mut Self {
        if segment == "*" {
            return self.any.get_or_insert_default();
        }
        let token = string_token(segment);
        let key = &token[1..token.len() - 1];
        let known = self.children.iter().position(|(known, _)| **known == *key);
        let at = known.unwrap_or_else(|| {
            self.children.push((key.into(), Self::default()));
            self.children.len() - 1
        });
        &mut self.children[at].1
    }
}

/// Undoes `~0` and `~1`; `None` for another `~`.
pub(crate) fn unescape_segment(segment: &str) -> Option<String> {
    let mut out = String::with_capacity(segment.len());
    let mut rest = segment;
    while let Some(at) = rest.find('~') {
        out.push_str(&rest[..at]);
        out.push(match rest.as_bytes().get(at + 1)? {
            b'0' => '~',
            b'1' => '/',
            _ => return None,
        });
        rest = &rest[at + 2..];
    }
    out.push_str(rest);
    Some(out)
}
