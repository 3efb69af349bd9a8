//! The closed vocabularies: outcomes and kinds of actors, and the words that mean them elsewhere.
//!
//! Not here: when a foreign word is taken and when refused (`validate`). Source: `spec/event.md`,
//! "Outcomes" and "Kinds of actors", with `spec/vectors/event-words.json`.

macro_rules! vocabulary {
    ($(#[$doc:meta])+ $name:ident {
        $($(#[$word_doc:meta])+ $variant:ident $word:literal [$($other:literal)*];)+
    }) => {
        $(#[$doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$word_doc])+ $variant,)+
        }

        impl $name {
            /// Every word, in the order of the table in the specification.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The same, as they are written.
            pub const WORDS: &'static [&'static str] = &[$($word,)+];

            /// The word.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }

            /// Reads the word itself and nothing else.
            pub fn parse(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$variant),)+
                    _ => None,
                }
            }

            fn from_lower_case(word: &str) -> Option<Self> {
                match word {
                    $($word $(| $other)* => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

vocabulary! {
    /// How an action ended.
    Outcome {
        /// It was done.
        Success "success" ["confirmed_success" "completed" "sent" "acknowledged"];
        /// It was tried and not done.
        Failure "failure" ["fail" "failed" "confirmed_failed" "error" "timeout"];
        /// Some of it was done.
        Partial "partial" [];
        /// It waits for something.
        Pending "pending" ["queued" "planned" "pending_approval"];
        /// It is being done.
        InProgress "in_progress" ["attempted" "running"];
        /// The actor may not.
        Denied "denied" ["deny" "unauthorized" "approval.denied" "permission.denied"];
        /// A rule or guard stopped it.
        Blocked "blocked" ["blocked_by_guardrail"];
        /// It took too long.
        TimedOut "timed_out" [];
        /// It was undone.
        RolledBack "rolled_back" ["rollback"];
        /// Nobody knows.
        Unknown "unknown" [""];
    }
}

vocabulary! {
    /// What kind of actor acted.
    ActorType {
        /// A person.
        User "user" ["human" "operator" "analyst"];
        /// A program that decides for itself.
        Agent "agent" ["ai_agent"];
        /// The system itself.
        System "system" [];
        /// A program that serves.
        Service "service" ["service_account"];
        /// A call from another system.
        Webhook "webhook" [];
        /// A clock.
        Scheduler "scheduler" [];
        /// Nobody known.
        Anonymous "anonymous" [];
    }
}

impl Outcome {
    /// What a foreign word means; case and surrounding white space do not count.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::from_lower_case(&word.trim().to_ascii_lowercase())
    }
}

impl ActorType {
    /// What a foreign word means; case and surrounding white space do not count. `agent:<id>` is
    /// an agent, `system:serviceaccount:<name>` a service.
    pub fn from_word(word: &str) -> Option<Self> {
        let word = word.trim().to_ascii_lowercase();
        if word.starts_with("agent:") {
            return Some(Self::Agent);
        }
        if word.starts_with("system:serviceaccount:") {
            return Some(Self::Service);
        }
        Self::from_lower_case(&word)
    }
}
