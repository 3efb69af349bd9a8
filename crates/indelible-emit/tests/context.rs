//! Context: said once, it stands in every event that does not say otherwise, on any thread and
//! across every `await`.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Poll, Wake, Waker};
use std::time::Duration;

use indelible_emit::{Actor, Context, Emitter, NeedsOutcome};
use indelible_event::event;
use indelible_event::{Event, Outcome};
use support::{Memory, quick, start};

const HEADER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

fn begin(emitter: &Emitter, actor: Actor) -> NeedsOutcome<'_> {
    let event = emitter.for_tenant("acme").action("content.publish");
    event.actor(actor).target("post", "456")
}

fn all(emit: impl FnOnce(&Emitter)) -> Vec<Event> {
    let memory = Memory::default();
    let mut options = quick();
    options.service = Some("of the options".to_owned());
    let emitter = start(memory.clone(), options);
    emit(&emitter);
    assert!(emitter.close(Duration::from_secs(20)).is_clean());
    memory.look(|kept| {
        let events = kept.events.iter();
        events.map(|it| Event::parse(&it.event).unwrap()).collect()
    })
}

fn ada() -> Actor {
    let ada = Actor::user("ada").name("Ada").email("ada@example.org");
    ada.role("editor").ip("192.0.2.1")
}

fn around() -> Context {
    let context = Context::new().service("shop").request("r1");
    context.actor(ada()).traceparent(HEADER)
}

/// Pending once, then ready.
#[derive(Default)]
struct Later(bool);

impl Future for Later {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, _: &mut std::task::Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

struct Nobody;

impl Wake for Nobody {
    fn wake(self: Arc<Self>) {}
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    let waker = Waker::from(Arc::new(Nobody));
    future.poll(&mut std::task::Context::from_waker(&waker))
}

#[test]
fn an_event_has_what_surrounds_it() {
    let events = all(|emitter| {
        let entered = around().enter();
        let _ = begin(emitter, Actor::user("ada")).succeeded().emit();
        drop(entered);
        let _ = begin(emitter, Actor::user("ada")).succeeded().emit();
    });
    let [inside, outside] = &events[..] else {
        panic!("{events:?}")
    };
    let context = inside.context.clone().unwrap();
    assert_eq!(context.request_id.as_deref(), Some("r1"));
    assert_eq!(context.trace_id.as_deref(), Some(TRACE));
    assert_eq!(context.span_id.as_deref(), Some("b7ad6b7169203331"));
    assert_eq!(context.correlation_id.as_deref(), Some(TRACE));
    let actor = inside.actor.clone().unwrap();
    assert_eq!(actor.email.as_deref(), Some("ada@example.org"));
    assert_eq!(actor.role.as_deref(), Some("editor"));
    let service = |event: &Event| event.source.clone().unwrap().service.unwrap();
    assert_eq!(service(inside), "shop");
    assert_eq!(service(outside), "of the options");
    assert_eq!(outside.context, None);
    assert_eq!(outside.actor.clone().unwrap().role, None);
}

#[test]
fn what_an_event_says_itself_wins() {
    let events = all(|emitter| {
        let _entered = around().correlation("c1").enter();
        let actor = Actor::user("ada").role("owner");
        let event = begin(emitter, actor).succeeded();
        let event = event.request("mine").trace("t", "s").correlation("my own");
        let event = event.with(|event| {
            event.source.get_or_insert_default().service = Some("another".to_owned());
        });
        let _ = event.emit();
        let _ = begin(emitter, Actor::user("ada")).succeeded().emit();
    });
    let said = events[0].clone();
    let context = said.context.unwrap();
    assert_eq!(context.request_id.as_deref(), Some("mine"));
    assert_eq!(context.trace_id.as_deref(), Some("t"));
    assert_eq!(context.span_id.as_deref(), Some("s"));
    assert_eq!(context.correlation_id.as_deref(), Some("my own"));
    let actor = said.actor.unwrap();
    assert_eq!(actor.role.as_deref(), Some("owner"));
    assert_eq!(actor.name.as_deref(), Some("Ada"));
    assert_eq!(said.source.unwrap().service.as_deref(), Some("another"));
    // The context's correlation before the trace's.
    let context = events[1].context.clone().unwrap();
    assert_eq!(context.correlation_id.as_deref(), Some("c1"));
    assert_eq!(context.trace_id.as_deref(), Some(TRACE));
}

#[test]
fn nobody_gets_what_is_anothers() {
    let events = all(|emitter| {
        let _entered = around().enter();
        for actor in [Actor::user("bob"), Actor::agent("ada"), Actor::anonymous()] {
            let _ = begin(emitter, actor).succeeded().emit();
        }
    });
    for event in events {
        let actor = event.actor.unwrap();
        assert_eq!((actor.email, actor.role, actor.ip), (None, None, None));
    }
}

#[test]
fn the_current_actor_and_tenant_are_those_of_the_context() {
    let events = all(|emitter| {
        assert!(emitter.for_current_tenant().is_none());
        let say = |event: indelible_emit::NeedsAction<'_>| {
            let event = event.action("a.b").current_actor();
            let _ = event.target("x", "1").succeeded().emit();
        };
        say(emitter.for_tenant("acme"));
        let _entered = around().tenant("tenant-2").enter();
        say(emitter.for_current_tenant().unwrap());
    });
    let actor = |event: &Event| event.actor.clone().unwrap();
    assert_eq!(actor(&events[0]).kind.as_deref(), Some("anonymous"));
    assert_eq!(actor(&events[1]).id.as_deref(), Some("ada"));
    assert_eq!(actor(&events[1]).email.as_deref(), Some("ada@example.org"));
}

#[test]
fn a_whole_event_is_filled_in_too() {
    let whole = |actor| Event {
        event_type: Some("a.b".to_owned()),
        outcome: Some(Outcome::Success.as_str().to_owned()),
        actor,
        ..Event::default()
    };
    let events = all(|emitter| {
        let _entered = around().enter();
        let _ = emitter.emit("acme", whole(None));
        let bob = event::Actor {
            kind: Some("user".to_owned()),
            id: Some("bob".to_owned()),
            ..event::Actor::default()
        };
        let _ = emitter.emit("acme", whole(Some(bob)));
    });
    let actor = |event: &Event| event.actor.clone().unwrap();
    assert_eq!(actor(&events[0]).name.as_deref(), Some("Ada"));
    assert_eq!(actor(&events[1]).name, None);
    assert_eq!(
        events[1].context.clone().unwrap().request_id.as_deref(),
        Some("r1")
    );
}

#[test]
fn a_context_goes_with_its_future_and_with_nothing_else() {
    let events = all(|emitter| {
        let emit = |id: &str| {
            let event = emitter.for_tenant("acme").action("a.b");
            let _ = event.current_actor().target("x", id).succeeded().emit();
        };
        let job = async {
            emit("before");
            Later::default().await;
            emit("after");
        };
        let mut one = pin!(Context::new().request("one").scope(job));
        let job = async {
            emit("other");
            Later::default().await;
        };
        let mut two = pin!(Context::new().request("two").scope(job));
        assert!(poll(one.as_mut()).is_pending());
        assert!(poll(two.as_mut()).is_pending());
        emit("outside");
        // On another thread it is still its own.
        std::thread::scope(|scope| {
            scope.spawn(|| assert!(poll(one.as_mut()).is_ready()));
        });
        assert!(poll(two.as_mut()).is_ready());
        assert_eq!(Context::current().request_id(), None);
    });
    let said: Vec<_> = events
        .iter()
        .map(|event| {
            let request = event
                .context
                .as_ref()
                .and_then(|it| it.request_id.as_deref());
            (
                event.target.as_ref().unwrap().id.as_deref().unwrap(),
                request,
            )
        })
        .collect();
    let mut said = said;
    said.sort_unstable();
    assert_eq!(
        said,
        [
            ("after", Some("one")),
            ("before", Some("one")),
            ("other", Some("two")),
            ("outside", None),
        ]
    );
}

#[test]
fn an_event_keeps_the_context_it_was_emitted_in() {
    let stuck = support::Stuck::default();
    let emitter = start(stuck.clone(), quick());
    let entered = Context::new().request("then").enter();
    let _ = begin(&emitter, Actor::user("a")).succeeded().emit();
    let begun = begin(&emitter, Actor::user("a")).begin();
    drop(entered);
    let _later = Context::new().request("later").enter();
    let _ = begun.succeeded().emit();
    stuck.let_go();
    assert!(emitter.close(Duration::from_secs(20)).is_clean());
    stuck.memory.look(|kept| {
        for outgoing in &kept.events {
            let context = Event::parse(&outgoing.event).unwrap().context.unwrap();
            assert_eq!(context.request_id.as_deref(), Some("then"));
        }
        assert_eq!(kept.events.len(), 2);
    });
}

#[test]
fn an_event_of_another_context_takes_nothing_of_the_one_around_it() {
    let events = all(|emitter| {
        let own = Context::new().request("own");
        let _entered = around().correlation("of another").enter();
        let event = begin(emitter, Actor::user("ada")).succeeded();
        let _ = event.context(&own).emit();
    });
    let context = events[0].context.clone().unwrap();
    assert_eq!(context.request_id.as_deref(), Some("own"));
    assert_eq!((context.correlation_id, context.trace_id), (None, None));
    assert_eq!(events[0].actor.clone().unwrap().role, None);
}

#[test]
fn a_context_counts_towards_the_bytes_that_may_wait() {
    let mut options = quick();
    // Nothing leaves the queue.
    options.batching.interval = Duration::from_hours(1);
    let emitter = start(Memory::default(), options);
    let _ = begin(&emitter, Actor::user("a")).succeeded().emit();
    let without = emitter.metrics().queued_bytes;
    let _entered = Context::new().request("x".repeat(10_000)).enter();
    let _ = begin(&emitter, Actor::user("a")).succeeded().emit();
    assert!(emitter.metrics().queued_bytes > 2 * without + 10_000 - 1);
}

#[cfg(feature = "opentelemetry")]
#[test]
fn the_span_of_opentelemetry_is_taken_and_wins_over_a_header() {
    use opentelemetry::trace::{
        SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState,
    };
    let span = SpanContext::new(
        TraceId::from_hex("11111111111111111111111111111111").unwrap(),
        SpanId::from_hex("2222222222222222").unwrap(),
        TraceFlags::SAMPLED,
        false,
        TraceState::default(),
    );
    let events = all(|emitter| {
        let _entered = around().enter();
        let context = opentelemetry::Context::new().with_remote_span_context(span);
        let attached = context.attach();
        let _ = begin(emitter, Actor::user("a")).succeeded().emit();
        let taken_along = Context::current();
        drop(attached);
        let _ = begin(emitter, Actor::user("a")).succeeded().emit();
        let _entered = taken_along.enter();
        let _ = begin(emitter, Actor::user("a")).succeeded().emit();
    });
    let context = events[2].context.clone().unwrap();
    assert_eq!(context.trace_id.as_deref(), Some(&*"1".repeat(32)));
    let context = events[0].context.clone().unwrap();
    assert_eq!(context.trace_id.as_deref(), Some(&*"1".repeat(32)));
    assert_eq!(context.span_id.as_deref(), Some(&*"2".repeat(16)));
    assert_eq!(context.correlation_id.as_deref(), Some(&*"1".repeat(32)));
    let context = events[1].context.clone().unwrap();
    assert_eq!(context.trace_id.as_deref(), Some(TRACE));
}
