//! The decision matrix: from a goal and the facts to a prompt type, its model and its enhancement
//! strategy.
//!
//! The matrix is data, so routing can change without a build. It is read from top to bottom, and
//! the first row that matches decides. Five goals and sixteen combinations of facts make eighty
//! questions, and reading the file answers all of them. A matrix that leaves a question unanswered
//! is refused, so deciding cannot fail later.

mod check;
mod draft;
mod parse;
mod row;

use std::sync::{Arc, LazyLock};

pub use row::{MatrixRow, Strategy};

use self::draft::Draft;
use crate::catalogue::Catalogue;
use crate::facts::Facts;
use crate::goal::Goal;
use crate::problem::Problem;
use crate::type_set::TypeSet;
use crate::version::version_of;

const EMBEDDED: &str = include_str!("../../data/matrix.csv");

/// The number of all questions.
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
    rows: Vec<MatrixRow>,
    decisions: Box<[MatrixRow; QUESTIONS]>,
    feasible: [TypeSet; Facts::COUNT],
    version: String,
    warnings: Vec<Problem>,
}

impl Matrix {
    /// Returns the embedded matrix.
    ///
    /// # Panics
    ///
    /// Never: a test reads the embedded file.
    pub fn embedded() -> Arc<Self> {
        static MATRIX: LazyLock<Arc<Matrix>> = LazyLock::new(|| {
            #[expect(clippy::expect_used, reason = "the file is part of the source and is read by a test")]
            let matrix = Matrix::parse(EMBEDDED.as_bytes(), &Catalogue::embedded())
                .expect("the embedded matrix is valid");
            Arc::new(matrix)
        });
        Arc::clone(&MATRIX)
    }

    /// Parses a CSV with the columns `goal`, `active_image`, `active_video`, `references`,
    /// `prompt_type`, `model` and `enhancement` in any order, and optionally `#` with the number of
    /// each row.
    ///
    /// `goal` is one goal or several, separated by commas. The three facts are `YES` or `NO`. `-`
    /// matches any value. The models must be in `catalogue` and make what their rows promise.
    ///
    /// # Errors
    ///
    /// Returns every problem if at least one of them is an [error](Problem::is_error).
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

    /// Returns every problem of a CSV, including warnings, in the order of lines; empty for a good
    /// file.
    pub fn check(csv: &[u8], catalogue: &Catalogue) -> Vec<Problem> {
        Self::read(csv, catalogue).1
    }

    fn read(csv: &[u8], catalogue: &Catalogue) -> (Option<Self>, Vec<Problem>) {
        let (drafts, mut problems) = parse::rows(csv);
        // Without a header there are no rows, so problems of rows are not reported.
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
            Self { rows, decisions, feasible, version: version_of(csv), warnings: Vec::new() }
        });
        (matrix, problems)
    }

    /// Returns the first row that matches.
    pub fn decide(&self, goal: Goal, facts: Facts) -> &MatrixRow {
        #[expect(
            clippy::indexing_slicing,
            reason = "a goal and facts number exactly the questions of the table"
        )]
        &self.decisions[question(goal, facts)]
    }

    /// Returns every type that some goal reaches under these facts; never empty.
    pub fn feasible(&self, facts: Facts) -> TypeSet {
        #[expect(
            clippy::indexing_slicing,
            reason = "facts have exactly as many values as the table has entries"
        )]
        self.feasible[usize::from(facts.bits())]
    }

    /// Returns the version of the content: the first 16 hexadecimal digits of the BLAKE3 hash of
    /// the file.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Returns the rows in order.
    pub fn rows(&self) -> &[MatrixRow] {
        &self.rows
    }

    /// Returns the warnings: rows that no request reaches, and types that their facts do not
    /// support.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// Returns the matrix as a CSV that [`parse`](Self::parse) reads. Its spelling may differ from
    /// the file, and then its [`version`](Self::version) differs too.
    pub fn to_csv(&self) -> String {
        row::to_csv(&self.rows)
    }
}

/// Returns the number of a question, below [`QUESTIONS`]: ordered by goal, then by facts.
const fn question(goal: Goal, facts: Facts) -> usize {
    goal as usize * Facts::COUNT + facts.bits() as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::prompt_type::PromptType;

    /// The table of the specification, evaluated without the precomputed answers.
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
        /// Any bytes are either a matrix or a list of problems.
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
