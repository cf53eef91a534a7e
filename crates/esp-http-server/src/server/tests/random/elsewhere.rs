//! What threads do with requests that were detached.

use super::super::detached::with;
use super::*;
use crate::{DetachedRequest, Error, Peer as State, ServerContext, SessionId, Status};

/// Requests that nobody has taken yet, and threads that have one.
#[derive(Default)]
pub(super) struct Jobs {
    pub(super) parked: Parked,
    jobs: Vec<Elsewhere>,
}

impl Jobs {
    pub(super) fn act(&mut self, engine: &Engine, dice: &mut Dice) {
        if let Some(request) = self.parked.take() {
            match dice.below(8) {
                // On the engine's own thread.
                0 => return drop(request),
                1 => return drop(request.run(echo)),
                2 => return drop(engine.handle().queue_work(move |_| drop(request.run(path)))),
                _ => self.jobs.push(engine.elsewhere(request)),
            }
        }
        if self.jobs.is_empty() {
            return;
        }
        let number = dice.below(self.jobs.len());
        match dice.below(10) {
            0..6 => call(&self.jobs[number], dice),
            6 => drop(self.jobs[number].ends(DetachedRequest::complete)),
            7 => end(&self.jobs[number], dice),
            8 => drop(self.jobs.swap_remove(number)),
            _ => from_elsewhere(engine, dice),
        }
    }

    /// All that is detached is dropped, as soon as its thread does not wait any more.
    pub(super) fn give_up(&mut self, engine: &Engine) {
        self.jobs.clear();
        while let Some(request) = self.parked.take() {
            drop(request);
        }
        engine.run();
    }
}

fn call(job: &Elsewhere, dice: &mut Dice) {
    let time = millis(dice.below(2000) as u64);
    let len = dice.one_of(&[1, 100, 5000, 200_000]);
    match dice.below(9) {
        0 => job.begin(with(move |request| request.recv(&mut vec![0; len]))),
        1 => job.begin(with(echo)),
        2 => job.begin(with(stream)),
        3 => job.begin(with(move |request| request.respond().send("x".repeat(len)))),
        4 => job.begin(with(move |request| {
            let mut body = request.respond().chunked()?;
            body.send("x".repeat(len))?;
            body.flush()?;
            body.finish()
        })),
        5 => job.begin(with(move |request| request.sleep(time))),
        6 => job.begin(with(move |request| {
            let state = request.wait_peer(time)?;
            assert!(state != State::Gone);
            Ok(())
        })),
        7 => job.begin(with(|request| Ok(*request.session_ctx_or_insert_with(|| 7_u32)))),
        _ => job.begin(|request| request.peer()),
    }
}

fn end(job: &Elsewhere, dice: &mut Dice) {
    let end: fn(&mut Request<'_>) -> Result = match dice.below(6) {
        0 => stream,
        1 => |_| Ok(()),
        2 => |request| request.handle_err(ErrorCode::BadRequest, None),
        3 => |_| Err(Error::Refused(Status::METHOD_NOT_ALLOWED, "no".into())),
        4 => |_| Err(Error::Closed),
        _ => |_| panic_on_purpose(),
    };
    job.ends(move |request| request.run(end));
}

/// Work functions do something to all sessions, wherever their connections are.
fn from_elsewhere(engine: &Engine, dice: &mut Dice) {
    let act: fn(&mut ServerContext<'_>, SessionId) = match dice.below(4) {
        0 => |context, session| drop(context.send(session, "x".repeat(700))),
        1 => |context, session| drop(context.touch(session)),
        2 => |context, session| drop(context.set_session_ctx(session, 8_u32)),
        _ => |context, session| {
            let _ = context.session_ctx::<u32>(session).map(|ctx| *ctx += 1);
        },
    };
    let _ = engine.handle().queue_work(move |context| {
        for session in context.server().clients() {
            act(context, session);
        }
    });
}
