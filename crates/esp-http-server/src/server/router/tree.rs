//! URI templates that match more than one path, by their segments.
//!
//! ```text
//!  ()  ── users ──▶ (0) ── {} ──▶ (1: /users/{id}) ── posts ──▶ (2) ── {} ──▶ (3: …/posts/{post})
//!   └ tail /*         └ tail /x*
//! ```
//!
//! A path is followed from the root. At every node literal text goes before a parameter, and that
//! before a wildcard; where a way leads to nothing, the next one is tried. So what is found first is
//! the most specific, and the cost depends on the path and on what it matches, not on how many
//! templates there are.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::ControlFlow;

use hashbrown::HashMap;

use super::handlers::Handlers;
use crate::proto::uri::match_wildcard;
use crate::proto::uri::template::{Segment, Tail, Template, Wildcard};

/// A change copies only the nodes on its way; the others are shared with the tree before.
#[derive(Clone, Default)]
pub(super) struct Tree {
    root: Node,
}

/// What begins with the same segments.
#[derive(Clone, Default)]
struct Node {
    literals: HashMap<Arc<str>, Arc<Node>>,
    parameter: Option<Arc<Node>>,
    /// Of the template that ends here.
    handlers: Handlers,
    /// Of those that end in a wildcard; the most specific first.
    tails: Vec<TailNode>,
}

#[derive(Clone)]
struct TailNode {
    text: Arc<str>,
    wildcard: Wildcard,
    handlers: Handlers,
}

impl Tree {
    /// The handlers of just this template.
    pub(super) fn of(&self, template: &Template<'_>) -> Option<&Handlers> {
        let mut node = &self.root;
        for segment in template.segments() {
            node = match segment {
                Segment::Literal(text) => node.literals.get(text)?,
                Segment::Parameter => node.parameter.as_ref()?,
            };
        }
        match template.tail() {
            None => Some(&node.handlers),
            Some(tail) => Some(&node.tails[node.find_tail(&tail).ok()?].handlers),
        }
    }

    /// Has `change` change the handlers of just this template; without any left it is forgotten.
    pub(super) fn change(&mut self, template: &Template<'_>, change: impl FnOnce(&mut Handlers)) {
        self.root.change(&mut template.segments(), template.tail(), change);
    }

    #[cfg(all(test, feature = "std"))]
    pub(super) fn is_empty(&self) -> bool {
        self.root.is_empty()
    }

    /// Shows the handlers of the templates that match `path` to `visit`, those of the most specific
    /// one first, until it has seen enough.
    pub(super) fn visit<B>(
        &self,
        path: &str,
        visit: &mut impl FnMut(&Handlers) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        self.root.visit(path, visit)
    }
}

impl Node {
    /// `rest` is what is left of the path: nothing, or it begins with the `/` of a segment. Only `*`
    /// is a path that does neither.
    fn visit<B>(
        &self,
        rest: &str,
        visit: &mut impl FnMut(&Handlers) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        #[cfg(all(test, feature = "std"))]
        super::tests::look();
        if rest.is_empty() {
            visit(&self.handlers)?;
        }
        if let Some(rest) = rest.strip_prefix('/') {
            let (segment, rest) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            if let Some(node) = self.literals.get(segment) {
                node.visit(rest, visit)?;
            }
            if let Some(node) = &self.parameter
                && !segment.is_empty()
            {
                node.visit(rest, visit)?;
            }
        }
        let matching = self.tails.iter().filter(|tail| match_wildcard(&tail.text, rest));
        for tail in matching {
            visit(&tail.handlers)?;
        }
        ControlFlow::Continue(())
    }

    fn change<'t>(
        &mut self,
        segments: &mut impl Iterator<Item = Segment<'t>>,
        tail: Option<Tail<'t>>,
        change: impl FnOnce(&mut Handlers),
    ) {
        match (segments.next(), tail) {
            (Some(Segment::Literal(text)), _) => {
                let node = self.literals.entry(text.into()).or_default();
                Arc::make_mut(node).change(segments, tail, change);
                if node.is_empty() {
                    self.literals.remove(text);
                }
            }
            (Some(Segment::Parameter), _) => {
                let node = self.parameter.get_or_insert_default();
                Arc::make_mut(node).change(segments, tail, change);
                self.parameter.take_if(|node| node.is_empty());
            }
            (None, None) => change(&mut self.handlers),
            (None, Some(tail)) => self.change_tail(&tail, change),
        }
    }

    fn change_tail(&mut self, tail: &Tail<'_>, change: impl FnOnce(&mut Handlers)) {
        let at = self.find_tail(tail).unwrap_or_else(|at| {
            let Tail { text, wildcard } = *tail;
            self.tails.insert(
                at,
                TailNode { text: text.into(), wildcard, handlers: Handlers::default() },
            );
            at
        });
        change(&mut self.tails[at].handlers);
        if self.tails[at].handlers.is_empty() {
            self.tails.remove(at);
        }
    }

    fn find_tail(&self, tail: &Tail<'_>) -> Result<usize, usize> {
        let wanted = tail.key();
        self.tails.binary_search_by(|TailNode { text, wildcard, .. }| {
            Tail { text, wildcard: *wildcard }.key().cmp(&wanted)
        })
    }

    fn is_empty(&self) -> bool {
        self.literals.is_empty()
            && self.parameter.is_none()
            && self.handlers.is_empty()
            && self.tails.is_empty()
    }
}
