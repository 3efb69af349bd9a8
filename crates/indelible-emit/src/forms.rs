//! Short forms: an event of a common kind in one call.
//!
//! Not here: anything that the builder cannot say.

use indelible_event::Outcome;

use crate::actor::Actor;
use crate::builder::{EventBuilder, NeedsAction, NeedsOutcome};
use crate::context::Context;
use crate::denial::Denial;
use crate::emitter::Emitter;
use crate::ticket::Ticket;

/// What a short form is about: whose event it is, and who acted on what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    tenant: String,
    actor: Actor,
    target: [String; 2],
}

/// What became of a login, or that it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// Somebody logged in.
    LoggedIn,
    /// Somebody tried to, and why it failed.
    LoginFailed(String),
    /// Somebody logged out.
    LoggedOut,
}

impl Subject {
    /// An actor of a tenant, acting on a target of a kind.
    pub fn new(
        tenant: impl Into<String>,
        actor: Actor,
        target_type: impl Into<String>,
        target_id: impl Into<String>,
    ) -> Self {
        Self {
            tenant: tenant.into(),
            actor,
            target: [target_type.into(), target_id.into()],
        }
    }

    fn begin(self, emitter: &Emitter, event_type: impl AsRef<str>) -> NeedsOutcome<'_> {
        let Self {
            tenant,
            actor,
            target: [kind, id],
        } = self;
        let event = emitter.for_tenant(tenant).action(event_type);
        event.actor(actor).target(kind, id)
    }
}

impl Emitter {
    /// Begins an event for the tenant of the [context](Context); `None` when it names none.
    pub fn for_current_tenant(&self) -> Option<NeedsAction<'_>> {
        let context = Context::current();
        Some(self.for_tenant(context.tenant_id()?))
    }

    /// Emits that something was done.
    pub fn emit_success(&self, event_type: impl AsRef<str>, subject: Subject) -> Ticket {
        subject.begin(self, event_type).succeeded().emit()
    }

    /// Emits that a guard refused: `permission.denied`, with the outcome `denied`.
    pub fn emit_denial(&self, subject: Subject, denial: impl Into<Denial>) -> Ticket {
        let event = subject.begin(self, "permission.denied");
        event.denied(denial).category("permission").emit()
    }

    /// Emits a login, successful or not, or a logout: `auth.login` and `auth.logout`, on the
    /// account that is the subject's target.
    pub fn emit_auth(&self, subject: Subject, auth: Auth) -> Ticket {
        let event: EventBuilder<'_> = match auth {
            Auth::LoggedIn => subject.begin(self, "auth.login").outcome(Outcome::Success),
            Auth::LoginFailed(reason) => {
                let event = subject.begin(self, "auth.login");
                event.failed("login_failed", reason)
            }
            Auth::LoggedOut => subject.begin(self, "auth.logout").outcome(Outcome::Success),
        };
        event.category("auth").emit()
    }
}
