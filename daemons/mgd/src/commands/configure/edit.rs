//! Looking at the candidate and editing it. Every edit is on disk before it is confirmed.

use holdfast_config::{Draft, Load};
use holdfast_proto::v1::{ExecuteConfirm, ExecuteRead, ExecuteWrite, execute_event::Event};

use super::{Client, NOTHING_DONE, mistake, refused, told};
use crate::{
    candidate,
    commands::{CommandResult, Format, Outcome, configuration::lines},
    grammar::configure::Edit,
};

impl Client<'_> {
    pub(super) async fn change(self, command: Edit<'_>, columns: u32) -> CommandResult {
        self.may_change()?;
        let schema = &self.context.state.schema;
        let level = self.mode.level.as_str();
        if matches!(command, Edit::Delete("")) && !self.context.confirmed {
            let question = "Delete everything under this level? [yes,no] ".to_owned();
            return Ok(Outcome::Confirm(ExecuteConfirm { question, declined: NOTHING_DONE.to_owned() }));
        }
        let mut draft = self.draft()?;
        let changed = match command {
            Edit::Delete(words) => draft.delete(level, words, schema),
            Edit::Activate(words) => draft.set_active(level, words, true, schema),
            Edit::Deactivate(words) => draft.set_active(level, words, false, schema),
            Edit::Set(words) => draft.set(level, words, schema),
            Edit::Rearrange(how, words) => draft.rearrange(how, level, words, schema),
            other => return Err(refused(format!("{other:?} changes nothing"))),
        };
        changed.map_err(|error| mistake(error, columns))?;
        self.keep(&draft)?;
        Ok(Outcome::Done)
    }

    pub(super) async fn edit(self, words: &str, columns: u32) -> CommandResult {
        if words.is_empty() {
            return Err(refused("missing argument, expecting a statement that holds others"));
        }
        let level = self.draft()?.level(&self.mode.level, words, &self.context.state.schema);
        let level = level.map_err(|error| mistake(error, columns))?;
        let mut earlier = self.mode.earlier.clone();
        earlier.push(self.mode.level.clone());
        self.go(level, earlier).await
    }

    pub(super) async fn up(self, levels: u32) -> CommandResult {
        let draft = Draft::empty();
        let mut level = self.mode.level.clone();
        for _ in 0..levels {
            if level.is_empty() {
                break;
            }
            level = draft.above(&level, &self.context.state.schema).map_err(|error| mistake(error, 0))?;
        }
        let earlier = self.mode.earlier.clone();
        self.go(level, earlier).await
    }

    pub(super) async fn exit(self, whole: bool) -> CommandResult {
        if !whole && !self.mode.level.is_empty() {
            let mut earlier = self.mode.earlier.clone();
            let level = earlier.pop().unwrap_or_default();
            return self.go(level, earlier).await;
        }
        if self.candidate.edited().is_some() {
            let question = match self.mode.exclusive {
                true => "Uncommitted changes will be discarded on exit. Continue? [yes,no] ",
                false => {
                    "The configuration has been changed but not committed\nExit with uncommitted changes? [yes,no] "
                }
            };
            if !self.context.confirmed {
                let declined = NOTHING_DONE.to_owned();
                return Ok(Outcome::Confirm(ExecuteConfirm { question: question.to_owned(), declined }));
            }
            let note = match self.mode.exclusive {
                true => {
                    self.candidate.discard().map_err(|error| told(&error))?;
                    "The uncommitted changes are discarded\n"
                }
                false => "The uncommitted changes are kept: configure goes on with them\n",
            };
            self.context.text(note).await?;
        }
        self.leave().await
    }

    pub(super) async fn show(self, words: &str, columns: u32) -> CommandResult {
        let (schema, level) = (&self.context.state.schema, self.mode.level.as_str());
        let draft = self.draft()?;
        let failed = |error| mistake(error, columns);
        match self.context.format {
            Format::Compare(_) if !words.is_empty() => {
                return Err(refused("| compare compares the whole candidate: show | compare"));
            }
            Format::Compare(number) => return self.compare(number).await,
            Format::Json => {
                let json = draft.show_json(level, words, schema).map_err(failed)?;
                self.context.print(&json, ToString::to_string).await?;
            }
            Format::Set => lines(self.context, &draft.show_set(level, words, schema).map_err(failed)?).await?,
            Format::Text => lines(self.context, &draft.show(level, words, schema).map_err(failed)?).await?,
        }
        Ok(Outcome::Done)
    }

    pub(super) async fn compare(self, number: u32) -> CommandResult {
        let base = candidate::predecessor(number, &self.context.state).map_err(|error| told(&error))?;
        let difference = self.draft()?.compare(&base, &self.context.state.schema);
        lines(self.context, &difference).await?;
        Ok(Outcome::Done)
    }

    pub(super) async fn rollback(self, number: u32) -> CommandResult {
        self.may_change()?;
        if number == 0 {
            // Also the way out when the candidate cannot be read.
            self.candidate.discard().map_err(|error| told(&error))?;
        } else {
            let draft = candidate::predecessor(number, &self.context.state).map_err(|error| told(&error))?;
            self.keep(&draft)?;
        }
        self.context.text("load complete\n").await?;
        Ok(Outcome::Done)
    }

    pub(super) async fn load(self, how: Load, file: &str) -> CommandResult {
        self.may_change()?;
        let Some(text) = &self.context.text_given else {
            let prompt = if file.is_empty() { "[Type ^D at a new line to end input]\n" } else { "" };
            return Ok(Outcome::Read(ExecuteRead { file: file.to_owned(), prompt: prompt.to_owned() }));
        };
        let name = if file.is_empty() { "terminal" } else { file };
        let mut draft = match how {
            Load::Override => Draft::empty(),
            Load::Merge | Load::Replace | Load::Set => self.draft()?,
        };
        draft.load(how, name, text, &self.context.state.schema).map_err(|error| mistake(error, 0))?;
        self.keep(&draft)?;
        self.context.text("load complete\n").await?;
        Ok(Outcome::Done)
    }

    pub(super) async fn save(self, file: &str) -> CommandResult {
        let text = self.draft()?.to_text(&self.context.state.schema);
        self.context.event(Event::Write(ExecuteWrite { file: file.to_owned() })).await?;
        lines(self.context, &text).await?;
        Ok(Outcome::Done)
    }
}
