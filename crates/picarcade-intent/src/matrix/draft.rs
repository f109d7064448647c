//! A row as far as it could be read.
//!
//! A file with errors is checked as a whole, so rows with errors are included: conditions that
//! could not be read may have any value. A gap is reported only if no row could fill it after its
//! errors are fixed. A row is called unreachable only if the rows above it certainly match.

use super::row::{MatrixRow, Strategy};
use crate::facts::Facts;
use crate::goal::Goal;
use crate::prompt_type::PromptType;

/// A cell with yes, no, or either.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Condition(pub(super) Option<bool>);

impl Condition {
    fn admits(self, fact: bool) -> bool {
        self.0.is_none_or(|wanted| wanted == fact)
    }
}

/// A row and its line; `None` for a cell that could not be read.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) line: u64,
    pub(super) number: Option<u32>,
    pub(super) goals: Option<Vec<Goal>>,
    /// `active_image`, `active_video`, `references`.
    pub(super) facts: [Option<Condition>; 3],
    pub(super) prompt_type: Option<PromptType>,
    pub(super) model: Option<String>,
    pub(super) enhancement: Option<Strategy>,
}

/// Whether a row applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Applies {
    Surely,
    Perhaps,
    Never,
}

impl Draft {
    /// The row, if all of it could be read.
    pub(super) fn row(&self) -> Option<MatrixRow> {
        let [active_image, active_video, references] = self.facts;
        Some(MatrixRow {
            number: self.number?,
            goals: self.goals.clone()?,
            active_image: active_image?.0,
            active_video: active_video?.0,
            references: references?.0,
            prompt_type: self.prompt_type?,
            model: self.model.clone()?,
            enhancement: self.enhancement?,
        })
    }

    /// The conditions, if all of them could be read.
    pub(super) fn conditions(&self) -> Option<(&[Goal], [Condition; 3])> {
        let [active_image, active_video, references] = self.facts;
        Some((self.goals.as_deref()?, [active_image?, active_video?, references?]))
    }

    /// Returns whether the row applies to a goal under some facts.
    pub(super) fn applies(&self, goal: Goal, facts: Facts) -> Applies {
        let given = [facts.active_image, facts.active_video, facts.references()];
        let goal = self.goals.as_ref().map(|goals| goals.contains(&goal));
        let facts =
            self.facts.iter().zip(given).map(|(wanted, given)| wanted.map(|wanted| wanted.admits(given)));
        facts.chain([goal]).fold(Applies::Surely, |applies, fits| match (applies, fits) {
            (Applies::Never, _) | (_, Some(false)) => Applies::Never,
            (Applies::Perhaps, _) | (_, None) => Applies::Perhaps,
            (Applies::Surely, Some(true)) => Applies::Surely,
        })
    }
}
