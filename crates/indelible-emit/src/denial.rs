//! Why an actor may not, as the guard that refused knows it.

use indelible_event::Event;
use indelible_event::canonical::Object;
use indelible_event::event::{Decision, Http};

/// What a guard refused and what would have been needed.
///
/// A text is a denial with that reason and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Denial {
    pub(crate) reason: Option<String>,
    guard: Option<String>,
    resource: Option<String>,
    required_role: Option<String>,
    required_permission: Option<String>,
    actual_role: Option<String>,
    method: Option<String>,
    path: Option<String>,
}

macro_rules! parts {
    ($($(#[$doc:meta])+ $name:ident;)+) => {
        $(
            $(#[$doc])+
            #[must_use]
            pub fn $name(mut self, text: impl Into<String>) -> Self {
                self.$name = Some(text.into());
                self
            }
        )+
    };
}

impl Denial {
    /// A denial by a guard, such as `requireOwner`.
    pub fn by(guard: impl Into<String>) -> Self {
        Self::default().guard(guard)
    }

    parts! {
        /// Why, in a word or a sentence: `insufficient_permission`, `hierarchy_violation` …
        reason;
        /// What refused.
        guard;
        /// What was asked for.
        resource;
        /// The role that is needed.
        required_role;
        /// The permission that is needed.
        required_permission;
        /// The role that the actor has.
        actual_role;
        /// The method of the request.
        method;
        /// The route of the request: its template, for a path may name people.
        path;
    }

    /// Whether it says more than a reason.
    pub(crate) fn says_more(&self) -> bool {
        let reason = self.reason.clone();
        *self
            != Self {
                reason,
                ..Self::default()
            }
    }

    pub(crate) fn weight(&self) -> usize {
        let texts = [
            &self.reason,
            &self.guard,
            &self.resource,
            &self.required_role,
            &self.required_permission,
            &self.actual_role,
            &self.method,
            &self.path,
        ];
        let texts = texts.into_iter().flatten().map(String::len);
        size_of::<Self>() + texts.sum::<usize>()
    }

    /// Puts everything but the reason in its place; what `data` it makes.
    pub(crate) fn tell(self, event: &mut Event) -> Object {
        if self.required_role.is_some()
            || self.required_permission.is_some()
            || self.actual_role.is_some()
        {
            let decision: &mut Decision = event.decision.get_or_insert_default();
            decision.required_role = self.required_role.or(decision.required_role.take());
            decision.required_permission = self
                .required_permission
                .or(decision.required_permission.take());
            decision.actual_role = self.actual_role.or(decision.actual_role.take());
        }
        if self.method.is_some() || self.path.is_some() {
            let http: &mut Http = event.http.get_or_insert_default();
            http.method = self.method.or(http.method.take());
            http.path = self.path.or(http.path.take());
        }
        let data = [("guard", self.guard), ("resource", self.resource)];
        let data = data.into_iter();
        data.filter_map(|(key, text)| Some((key, text?))).collect()
    }
}

impl From<&str> for Denial {
    fn from(reason: &str) -> Self {
        Self::default().reason(reason)
    }
}

impl From<String> for Denial {
    fn from(reason: String) -> Self {
        Self::default().reason(reason)
    }
}
