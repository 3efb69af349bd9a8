//! Who acts: what the builder is told of an actor.
//!
//! Not here: which of it is personal data, which the ledger decides when it seals.

use compact_str::CompactString;
use indelible_event::{ActorType, event};

use crate::context::fill;

/// Who acts: what kind, which one, and what else is known.
///
/// Name, e-mail address, IP address and user agent are personal data; the ledger seals them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    pub(crate) kind: ActorType,
    pub(crate) id: CompactString,
    pub(crate) more: Option<Box<More>>,
}

/// What few actors say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct More {
    pub(crate) name: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) role: Option<String>,
    pub(crate) ip: Option<String>,
    pub(crate) user_agent: Option<String>,
    pub(crate) session_id: Option<String>,
}

impl Actor {
    /// An actor of a kind.
    pub fn new(kind: ActorType, id: impl AsRef<str>) -> Self {
        Self {
            kind,
            id: CompactString::new(id.as_ref()),
            more: None,
        }
    }

    /// A person.
    pub fn user(id: impl AsRef<str>) -> Self {
        Self::new(ActorType::User, id)
    }

    /// A program that decides for itself.
    pub fn agent(id: impl AsRef<str>) -> Self {
        Self::new(ActorType::Agent, id)
    }

    /// The system itself.
    pub fn system(id: impl AsRef<str>) -> Self {
        Self::new(ActorType::System, id)
    }

    /// A program that serves.
    pub fn service(id: impl AsRef<str>) -> Self {
        Self::new(ActorType::Service, id)
    }

    /// A call from another system.
    pub fn webhook(id: impl AsRef<str>) -> Self {
        Self::new(ActorType::Webhook, id)
    }

    /// A clock.
    pub fn scheduler(id: impl AsRef<str>) -> Self {
        Self::new(ActorType::Scheduler, id)
    }

    /// Nobody known.
    pub fn anonymous() -> Self {
        Self::new(ActorType::Anonymous, "anonymous")
    }

    /// The same actor with a name.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.more().name = Some(name.into());
        self
    }

    /// The same actor with an e-mail address.
    #[must_use]
    pub fn email(mut self, email: impl Into<String>) -> Self {
        self.more().email = Some(email.into());
        self
    }

    /// The same actor in a role.
    #[must_use]
    pub fn role(mut self, role: impl Into<String>) -> Self {
        self.more().role = Some(role.into());
        self
    }

    /// The same actor at an IP address.
    #[must_use]
    pub fn ip(mut self, ip: impl Into<String>) -> Self {
        self.more().ip = Some(ip.into());
        self
    }

    /// The same actor with a user agent.
    #[must_use]
    pub fn user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.more().user_agent = Some(user_agent.into());
        self
    }

    /// The same actor in a session.
    #[must_use]
    pub fn session(mut self, session_id: impl Into<String>) -> Self {
        self.more().session_id = Some(session_id.into());
        self
    }

    /// The same actor; of what it does not say beside kind and id, what the other says.
    #[must_use]
    pub fn or(mut self, other: Self) -> Self {
        let Some(other) = other.more else {
            return self;
        };
        let more = self.more();
        more.name = more.name.take().or(other.name);
        more.email = more.email.take().or(other.email);
        more.role = more.role.take().or(other.role);
        more.ip = more.ip.take().or(other.ip);
        more.user_agent = more.user_agent.take().or(other.user_agent);
        more.session_id = more.session_id.take().or(other.session_id);
        self
    }

    fn more(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }

    /// Says what is not said of the same actor.
    pub(crate) fn fill(&self, said: &mut event::Actor) {
        let Some(more) = self.more.as_deref() else {
            return;
        };
        fill(&mut said.name, more.name.as_ref());
        fill(&mut said.email, more.email.as_ref());
        fill(&mut said.role, more.role.as_ref());
        fill(&mut said.ip, more.ip.as_ref());
        fill(&mut said.user_agent, more.user_agent.as_ref());
        fill(&mut said.session_id, more.session_id.as_ref());
    }

    /// Bytes that are not in the value itself.
    pub(crate) fn weight(&self) -> usize {
        let more = self.more.as_deref().map_or(0, |more| {
            let texts = [
                &more.name,
                &more.email,
                &more.role,
                &more.ip,
                &more.user_agent,
                &more.session_id,
            ];
            let texts = texts.into_iter().flatten().map(String::len);
            size_of::<More>() + texts.sum::<usize>()
        });
        self.id.len() + more
    }
}
