//! The decision matrix: from a goal and the facts to a prompt type, its model and its enhancement strategy.
//!
//! The matrix is data, so that routing can be changed without a build. It is read top to bottom and the first row that
//! matches decides; with five goals and sixteen facts that is only eighty questions, and all of them are answered when
//! the file is read. A matrix that leaves one unanswered is refused then, so deciding cannot fail later.

mod check;
mod draft;
mod parse;
mod row;

use std::sync::{Arc, LazyLock};

pub use row::{Row, Strategy};

use self::draft::Draft;
use crate::catalogue::Catalogue;
use crate::facts::Facts;
use crate::goal::Goal;
use crate::problem::Problem;
use crate::type_set::TypeSet;

/// The file that is compiled in.
const EMBEDDED: &str = include_str!("../../data/matrix.csv");

/// Every question there is.
const QUESTIONS: usize = Goal::COUNT * Facts::COUNT;

/// A checked decision matrix.
///
/// ```
/// use picarcade_intent::{Facts, Goal, Matrix, PromptType};
///
/// let matrix = Matrix::embedded();
/// let facts = Facts { active_image: true, ..Facts::default() };
/// let row = matrix.decide(Goal::Edit, facts);
/// assert_eq!(row.prompt_type, PromptType::EditImage);
/// assert_eq!(row.number, 10);
/// assert!(matrix.feasible(facts).contains(PromptType::ImageToVideo));
/// ```
#[derive(Debug, Clone)]
pub struct Matrix {
    rows: Vec<Row>,
    decisions: Box<[Row; QUESTIONS]>,
    feasible: [TypeSet; Facts::COUNT],
    version: String,
    warnings: Vec<Problem>,
}

impl Matrix {
    /// The matrix that is compiled in.
    ///
    /// # Panics
    ///
    /// Never: a test reads the compiled-in file.
    pub fn embedded() -> Arc<Self> {
        static MATRIX: LazyLock<Arc<Matrix>> = LazyLock::new(|| {
            #[expect(clippy::expect_used, reason = "the file is part of the source and is read by a test")]
            let matrix = Matrix::parse(EMBEDDED.as_bytes(), &Catalogue::embedded())
                .expect("the embedded matrix is valid");
            Arc::new(matrix)
        });
        Arc::clone(&MATRIX)
    }

    /// Reads a CSV with the columns `goal`, `active_image`, `active_video`, `references`, `prompt_type`, `model` and
    /// `enhancement`, in any order, and optionally `#` with the number of each row.
    ///
    /// `goal` is one goal or several with commas between them; the three facts are `YES` or `NO`; `-` stands for any.
    /// The models must be in `catalogue` and make what their rows promise.
    ///
    /// # Errors
    ///
    /// Every problem that was found, when at least one of them is an [error](Problem::is_error).
    pub fn parse(csv: &[u8], catalogue: &Catalogue) -> Result<Self, Vec<Problem>> {
        let (matrix, mut problems) = Self::read(csv, catalogue);
        match matrix {
            Some(mut matrix) if !problems.iter().any(Problem::is_error) => {
                matrix.warnings.append(&mut problems);
                Ok(matrix)
            }
            _ => Err(problems),
        }
    }

    /// Every problem of a CSV, warnings included, in the order of lines; empty when there is nothing to mend.
    pub fn check(csv: &[u8], catalogue: &Catalogue) -> Vec<Problem> {
        Self::read(csv, catalogue).1
    }

    fn read(csv: &[u8], catalogue: &Catalogue) -> (Option<Self>, Vec<Problem>) {
        let (drafts, mut problems) = parse::rows(csv);
        // Without a header there are no rows, which is not the reader's to mend one by one.
        if drafts.is_empty() && !problems.is_empty() {
            return (None, problems);
        }
        check::models(&drafts, catalogue, &mut problems);
        check::doubles(&drafts, &mut problems);
        let decisions = check::decisions(&drafts, parse::end(csv), &mut problems);
        problems.sort_by_key(|problem| problem.line);
        let matrix = decisions.map(|decisions| {
            let mut feasible = [TypeSet::default(); Facts::COUNT];
            for facts in Facts::all() {
                for goal in Goal::ALL {
                    if let (Some(set), Some(row)) =
                        (feasible.get_mut(usize::from(facts.bits())), decisions.get(question(goal, facts)))
                    {
                        set.insert(row.prompt_type);
                    }
                }
            }
            let rows = drafts.iter().filter_map(Draft::row).collect();
            Self { rows, decisions, feasible, version: crate::version_of(csv), warnings: Vec::new() }
        });
        (matrix, problems)
    }

    /// The first row that matches.
    pub fn decide(&self, goal: Goal, facts: Facts) -> &Row {
        #[expect(
            clippy::indexing_slicing,
            reason = "a goal and facts number exactly the questions of the table"
        )]
        &self.decisions[question(goal, facts)]
    }

    /// Every type that some goal reaches under these facts; never empty.
    pub fn feasible(&self, facts: Facts) -> TypeSet {
        #[expect(
            clippy::indexing_slicing,
            reason = "facts have exactly as many values as the table has entries"
        )]
        self.feasible[usize::from(facts.bits())]
    }

    /// Names the content: the first 16 hexadecimal digits of the BLAKE3 hash of the file.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The rows, in order.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// What the file could do better: rows that no request reaches, and types that their facts do not support.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// The matrix as a CSV that [`parse`](Self::parse) reads. It may differ from the file in spelling, so its
    /// [`version`](Self::version) may differ too.
    pub fn to_csv(&self) -> String {
        row::to_csv(&self.rows)
    }
}

/// The number of a question, below [`QUESTIONS`]: goal by goal, and facts by facts within a goal.
const fn question(goal: Goal, facts: Facts) -> usize {
    goal as usize * Facts::COUNT + facts.bits() as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::prompt_type::PromptType;

    /// The table of the specification, read the slow way.
    fn specified(goal: Goal, facts: Facts) -> (u32, PromptType) {
        use Goal::{AddElement, CreateImage, CreateVideo, CreateVideoWithAudio, Edit};
        let (image, video, references) = (facts.active_image, facts.active_video, facts.references());
        match goal {
            Edit | AddElement if video && references => (1, PromptType::VideoEditRef),
            Edit | AddElement if video => (2, PromptType::VideoEdit),
            CreateVideo | CreateVideoWithAudio if references => (3, PromptType::EditImageRefToVideo),
            CreateVideoWithAudio if image => (4, PromptType::ImageToVideoWithAudio),
            CreateVideo if image => (5, PromptType::ImageToVideo),
            CreateVideoWithAudio => (6, PromptType::NewVideoWithAudio),
            CreateVideo => (7, PromptType::NewVideo),
            AddElement if image && references => (8, PromptType::EditImageAddNew),
            CreateImage | Edit if image && !video && references => (9, PromptType::EditImageRef),
            Edit | AddElement if image && !references => (10, PromptType::EditImage),
            CreateImage | Edit | AddElement if !image && references => (11, PromptType::NewImageRef),
            CreateImage if references => (12, PromptType::NewImageRef),
            _ => (13, PromptType::NewImage),
        }
    }

    #[test]
    fn every_question_is_answered_as_specified() {
        let matrix = Matrix::embedded();
        assert!(matrix.warnings().is_empty(), "{:?}", matrix.warnings());
        for facts in Facts::all() {
            let mut feasible = TypeSet::default();
            for goal in Goal::ALL {
                let row = matrix.decide(goal, facts);
                assert_eq!((row.number, row.prompt_type), specified(goal, facts), "{goal} {facts:?}");
                feasible.insert(row.prompt_type);
            }
            assert_eq!(matrix.feasible(facts), feasible);
        }
        let words: Vec<_> = matrix.feasible(Facts::default()).iter().map(PromptType::as_str).collect();
        assert_eq!(words, ["NEW_IMAGE", "NEW_VIDEO", "NEW_VIDEO_WITH_AUDIO"]);
    }

    #[test]
    fn writing_and_reading_gives_the_same_matrix() {
        let matrix = Matrix::embedded();
        let again = Matrix::parse(matrix.to_csv().as_bytes(), &Catalogue::embedded()).unwrap();
        assert_eq!(again.rows(), matrix.rows());
        assert_eq!(matrix.to_csv(), EMBEDDED);
        assert_eq!(matrix.version().len(), 16);
        assert_eq!(matrix.version(), again.version());
    }

    proptest! {
        /// Any bytes at all are either a matrix or a list of problems.
        #[test]
        fn no_input_breaks_the_reader(noise in proptest::collection::vec(any::<u8>(), 0..40), at in 0..EMBEDDED.len()) {
            let mut csv = EMBEDDED.as_bytes().to_vec();
            csv.splice(at..(at + noise.len()).min(EMBEDDED.len()), noise);
            match Matrix::parse(&csv, &Catalogue::embedded()) {
                Ok(matrix) => prop_assert!(!matrix.feasible(Facts::default()).is_empty()),
                Err(problems) => {
                    prop_assert!(problems.iter().any(Problem::is_error));
                    prop_assert!(problems.iter().all(|problem| problem.line > 0 && !problem.column.is_empty()));
                }
            }
        }
    }
}
