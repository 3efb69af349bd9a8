//! Context: what is true of all events of a request or a job, said once.
//!
//! A context is entered on a thread, or goes with a future wherever it is polled; events take a
//! share of it when they are emitted, and the worker fills in what they do not say themselves. On
//! the caller's thread that is one read of a thread-local, and where there is a context one count.
//! No runtime is needed. Sources: W3C Trace Context, `traceparent`; `docs/sdk.md`, "Context".

use std::cell::RefCell;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use compact_str::CompactString;
use indelible_event::Event;
use indelible_event::event;

use crate::actor::Actor;

thread_local! {
    static CURRENT: RefCell<Stack> = const { RefCell::new(Stack { entered: Vec::new(), next: 0 }) };
}

/// The contexts that are entered on a thread, the innermost last, each with the number by which it
/// is left: in whichever order that happens, only those are there that are still held.
#[derive(Debug)]
struct Stack {
    entered: Vec<(u64, Context)>,
    next: u64,
}

/// What surrounds events: who acts, for which tenant, in which request and trace.
///
/// What an event says itself wins; what a context does not say, the one around it does. Changing
/// it makes another one, so that an event keeps the context that it was emitted in.
#[derive(Debug, Clone, Default)]
pub struct Context(Arc<Known>);

/// An entered context; when it is dropped, the one before that is still held is there again.
///
/// It belongs to its thread. To go with a future, see [`Context::scope`].
#[derive(Debug)]
#[must_use = "dropped at once, it leaves the context at once"]
pub struct Entered {
    number: Option<u64>,
    thread: PhantomData<*const ()>,
}

pin_project_lite::pin_project! {
    /// A future in a context; see [`Context::scope`].
    #[derive(Debug)]
    #[must_use = "a future does nothing until it is awaited"]
    pub struct InContext<F> {
        #[pin]
        future: F,
        context: Context,
    }
}

#[derive(Debug, Clone, Default)]
struct Known {
    tenant: Option<CompactString>,
    service: Option<String>,
    request_id: Option<String>,
    correlation_id: Option<String>,
    actor: Option<Actor>,
    trace: Option<Trace>,
    /// Its bytes, counted when it was made.
    weight: usize,
}

/// A trace and a span of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Trace {
    trace_id: [u8; 16],
    span_id: [u8; 8],
}

/// What an event takes with it.
#[derive(Debug, Default)]
pub(crate) struct Around {
    context: Option<Context>,
    /// Of `OpenTelemetry`. Every event has room for it, so there is none without the feature.
    #[cfg(feature = "opentelemetry")]
    span: Option<Trace>,
}

impl Context {
    /// A context that says nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// What surrounds this place, the current span of `OpenTelemetry` with it if the feature is on;
    /// says nothing where nothing does. For what goes on elsewhere:
    /// `spawn(Context::current().scope(future))`.
    pub fn current() -> Self {
        let context = current().unwrap_or_default();
        match Trace::current() {
            Some(trace) => context.with(|known| known.trace = Some(trace)),
            None => context,
        }
    }

    /// The same context for a tenant; see [`Emitter::for_current_tenant`].
    ///
    /// [`Emitter::for_current_tenant`]: crate::Emitter::for_current_tenant
    #[must_use]
    pub fn tenant(self, tenant: impl AsRef<str>) -> Self {
        let tenant = CompactString::new(tenant.as_ref());
        self.with(|known| known.tenant = Some(tenant))
    }

    /// The same context in a service of this name.
    #[must_use]
    pub fn service(self, name: impl Into<String>) -> Self {
        let name = name.into();
        self.with(|known| known.service = Some(name))
    }

    /// The same context in a request.
    #[must_use]
    pub fn request(self, id: impl Into<String>) -> Self {
        let id = id.into();
        self.with(|known| known.request_id = Some(id))
    }

    /// The same context among what belongs together.
    #[must_use]
    pub fn correlation(self, id: impl Into<String>) -> Self {
        let id = id.into();
        self.with(|known| known.correlation_id = Some(id))
    }

    /// The same context with who acts, as far as is known now: name, e-mail address, role. An event
    /// of the same actor says what of it the event does not say itself; one of another does not.
    #[must_use]
    pub fn actor(self, actor: Actor) -> Self {
        self.with(|known| known.actor = Some(actor))
    }

    /// The same context in a trace, by the header `traceparent`; what is none changes nothing.
    #[must_use]
    pub fn traceparent(self, header: &str) -> Self {
        match Trace::parse(header) {
            Some(trace) => self.with(|known| known.trace = Some(trace)),
            None => self,
        }
    }

    /// Whose events these are.
    pub fn tenant_id(&self) -> Option<&str> {
        self.0.tenant.as_deref()
    }

    /// The request that this is.
    pub fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    /// Who acts.
    pub fn current_actor(&self) -> Option<&Actor> {
        self.0.actor.as_ref()
    }

    /// Enters the context on this thread, until what is returned is dropped.
    pub fn enter(&self) -> Entered {
        self.within(current().as_ref()).replace()
    }

    /// The future in this context, wherever it is polled.
    pub fn scope<F: Future>(&self, future: F) -> InContext<F> {
        InContext {
            future,
            context: self.within(current().as_ref()),
        }
    }

    /// The same context, filled up with what the one around it says.
    fn within(&self, outer: Option<&Self>) -> Self {
        let Some(outer) = outer.filter(|outer| !Arc::ptr_eq(&outer.0, &self.0)) else {
            return self.clone();
        };
        self.clone().with(|known| {
            let Known {
                tenant,
                service,
                request_id,
                correlation_id,
                actor,
                trace,
                weight: _,
            } = (*outer.0).clone();
            known.tenant = known.tenant.take().or(tenant);
            known.service = known.service.take().or(service);
            known.request_id = known.request_id.take().or(request_id);
            known.correlation_id = known.correlation_id.take().or(correlation_id);
            known.actor = known.actor.take().or(actor);
            known.trace = known.trace.or(trace);
        })
    }

    fn with(mut self, set: impl FnOnce(&mut Known)) -> Self {
        let known = Arc::make_mut(&mut self.0);
        set(known);
        let texts = [&known.service, &known.request_id, &known.correlation_id];
        let texts: usize = texts.into_iter().flatten().map(String::len).sum();
        let tenant = known.tenant.as_ref().map_or(0, CompactString::len);
        let actor = known.actor.as_ref().map_or(0, Actor::weight);
        known.weight = size_of::<Known>() + texts + tenant + actor;
        self
    }

    fn replace(self) -> Entered {
        // A thread that ends has no context.
        let number = CURRENT.try_with(|current| {
            let mut stack = current.try_borrow_mut().ok()?;
            let number = stack.next;
            stack.next += 1;
            stack.entered.push((number, self));
            Some(number)
        });
        Entered {
            number: number.ok().flatten(),
            thread: PhantomData,
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let Some(number) = self.number else {
            return;
        };
        let left = CURRENT.try_with(|current| {
            let mut stack = current.try_borrow_mut().ok()?;
            let place = stack.entered.iter().rposition(|it| it.0 == number)?;
            Some(stack.entered.remove(place))
        });
        drop(left);
    }
}

impl<F: Future> Future for InContext<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut std::task::Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _entered = this.context.clone().replace();
        this.future.poll(context)
    }
}

fn current() -> Option<Context> {
    CURRENT
        .try_with(|current| Some(current.try_borrow().ok()?.entered.last()?.1.clone()))
        .ok()
        .flatten()
}

impl Trace {
    /// `00-<32 hex digits>-<16 hex digits>-<2 hex digits>`; later versions may say more.
    fn parse(header: &str) -> Option<Self> {
        let mut parts = header.trim().split('-');
        let (version, trace, span) = (parts.next()?, parts.next()?, parts.next()?);
        let (flags, more) = (parts.next()?, parts.next().is_some());
        let hex = |text: &str, digits| {
            let good = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
            text.len() == digits && text.bytes().all(good)
        };
        let good = hex(version, 2) && hex(trace, 32) && hex(span, 16) && hex(flags, 2);
        if !good || version == "ff" || (version == "00" && more) {
            return None;
        }
        let trace_id = u128::from_str_radix(trace, 16).ok()?;
        let span_id = u64::from_str_radix(span, 16).ok()?;
        (trace_id != 0 && span_id != 0).then(|| Self {
            trace_id: trace_id.to_be_bytes(),
            span_id: span_id.to_be_bytes(),
        })
    }

    /// The span that `OpenTelemetry` is in.
    #[cfg(feature = "opentelemetry")]
    fn current() -> Option<Self> {
        use opentelemetry::trace::TraceContextExt;
        // A thread that ends has no context there, and says so by a panic.
        crate::shared::guarded(|| {
            opentelemetry::Context::map_current(|context| {
                if !context.has_active_span() {
                    return None;
                }
                let span = context.span();
                let span = span.span_context();
                span.is_valid().then(|| Self {
                    trace_id: span.trace_id().to_bytes(),
                    span_id: span.span_id().to_bytes(),
                })
            })
        })?
    }

    #[cfg(not(feature = "opentelemetry"))]
    fn current() -> Option<Self> {
        None
    }
}

impl Around {
    /// What surrounds this place now.
    pub(crate) fn now() -> Self {
        Self {
            context: current(),
            #[cfg(feature = "opentelemetry")]
            span: Trace::current(),
        }
    }

    /// This context and nothing else.
    pub(crate) fn of(context: Context) -> Self {
        Self {
            context: Some(context),
            #[cfg(feature = "opentelemetry")]
            span: None,
        }
    }

    pub(crate) fn weight(&self) -> usize {
        self.context.as_ref().map_or(0, |context| context.0.weight)
    }

    /// Fills in what the event does not say.
    pub(crate) fn fill(self, event: &mut Event) {
        let known = self.context.as_ref().map(|context| &*context.0);
        if let Some(known) = known {
            known.fill(event);
        }
        let trace = known.and_then(|known| known.trace);
        #[cfg(feature = "opentelemetry")]
        let trace = self.span.or(trace);
        if let Some(trace) = trace {
            trace.fill(event);
        }
    }
}

impl Known {
    fn fill(&self, event: &mut Event) {
        if self.request_id.is_some() || self.correlation_id.is_some() {
            let context = event.context.get_or_insert_default();
            fill(&mut context.request_id, self.request_id.as_ref());
            fill(&mut context.correlation_id, self.correlation_id.as_ref());
        }
        if self.service.is_some() {
            let source = event.source.get_or_insert_default();
            fill(&mut source.service, self.service.as_ref());
        }
        if let Some(actor) = &self.actor {
            match &mut event.actor {
                Some(said) => {
                    let same = said.kind.as_deref() == Some(actor.kind.as_str())
                        && said.id.as_deref() == Some(&*actor.id);
                    if same {
                        actor.fill(said);
                    }
                }
                none => {
                    let mut said = event::Actor {
                        kind: Some(actor.kind.as_str().to_owned()),
                        id: Some(actor.id.to_string()),
                        ..event::Actor::default()
                    };
                    actor.fill(&mut said);
                    *none = Some(said);
                }
            }
        }
    }
}

impl Trace {
    /// A trace that the event names itself stays, with its span. What has nothing else that it
    /// belongs to belongs to its trace.
    fn fill(self, event: &mut Event) {
        let context = event.context.get_or_insert_default();
        let trace_id = format!("{:032x}", u128::from_be_bytes(self.trace_id));
        if context.trace_id.is_none() {
            context.trace_id = Some(trace_id.clone());
            let span_id = u64::from_be_bytes(self.span_id);
            context.span_id = Some(format!("{span_id:016x}"));
        }
        let correlation_id = &mut context.correlation_id;
        correlation_id.get_or_insert_with(|| context.trace_id.clone().unwrap_or(trace_id));
    }
}

/// Sets what is not set.
pub(crate) fn fill(place: &mut Option<String>, value: Option<&String>) {
    if place.is_none() {
        *place = value.cloned();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const HEADER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_traceparent_is_read_as_the_recommendation_says() {
        let trace = Trace::parse(HEADER).unwrap();
        let trace_id: u128 = 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c;
        assert_eq!(trace.trace_id, trace_id.to_be_bytes());
        let span_id: u64 = 0xb7ad_6b71_6920_3331;
        assert_eq!(trace.span_id, span_id.to_be_bytes());
        let later = format!("cc{}-more", &HEADER[2..]);
        assert_eq!(Trace::parse(&later), Some(trace));
        let zero_trace = "00-00000000000000000000000000000000-b7ad6b7169203331-01";
        let zero_span = "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01";
        for bad in [
            "",
            "00",
            zero_trace,
            zero_span,
            &HEADER.to_uppercase(),
            &HEADER[..52],
            &format!("ff{}", &HEADER[2..]),
            &format!("{HEADER}-more"),
            &HEADER.replace("0af7", "+af7"),
        ] {
            assert_eq!(Trace::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn contexts_nest_and_the_inner_says_first() {
        assert_eq!(Context::current().request_id(), None);
        let outer = Context::new().tenant("acme").request("r1");
        let entered = outer.enter();
        {
            let _inner = Context::new().request("r2").enter();
            let now = Context::current();
            assert_eq!(
                (now.tenant_id(), now.request_id()),
                (Some("acme"), Some("r2"))
            );
        }
        assert_eq!(Context::current().request_id(), Some("r1"));
        drop(entered);
        assert_eq!(Context::current().request_id(), None);
    }

    #[test]
    fn contexts_that_are_left_in_any_order_leave_none_behind() {
        let first = Context::new().request("r1").enter();
        let second = Context::new().request("r2").enter();
        drop(first);
        assert_eq!(Context::current().request_id(), Some("r2"));
        let third = Context::new().request("r3").enter();
        drop(second);
        assert_eq!(Context::current().request_id(), Some("r3"));
        drop(third);
        assert_eq!(Context::current().request_id(), None);
    }

    #[test]
    fn a_context_is_a_value_that_later_changes_do_not_reach() {
        let one = Context::new().request("r1");
        let two = one.clone().request("r2").actor(Actor::user("ada"));
        assert_eq!((one.request_id(), one.current_actor()), (Some("r1"), None));
        assert_eq!(two.request_id(), Some("r2"));
        assert!(two.0.weight > one.0.weight);
    }
}
