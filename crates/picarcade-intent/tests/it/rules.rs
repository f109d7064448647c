//! Errors in files are reported with their line and column.

use std::fmt::Write;

use picarcade_intent::{Catalogue, Facts, Goal, Matrix, PromptType, Severity};
use proptest::prelude::*;

const HEADER: &str = "goal,active_image,active_video,references,prompt_type,model,enhancement";
const ANY: &str = "-,-,-,-,NEW_IMAGE,black-forest-labs/flux-1.1-pro,none";

fn problems(csv: impl AsRef<[u8]>) -> Vec<String> {
    Matrix::check(csv.as_ref(), &Catalogue::embedded()).iter().map(ToString::to_string).collect()
}

#[test]
fn a_valid_file_has_no_problems() {
    assert_eq!(problems(Matrix::embedded().to_csv()), Vec::<String>::new());
    assert_eq!(problems(format!("{HEADER}\n{ANY}\n")), Vec::<String>::new());
    let spread = format!(
        "\u{feff}Goal, Active Image ,active_video,references,Prompt Type,model,enhancement\r\n\r\n{ANY}\r\n"
    );
    assert_eq!(problems(spread), Vec::<String>::new());
}

#[test]
fn unknown_words_are_reported_with_their_position() {
    let csv = format!(
        "{HEADER}\n\
         \"edit, paint\",MAYBE,YES,-,VIDEO_EDITS,runwayml/gen4-aleph,wild\n\
         edit,,YES,-,VIDEO_EDIT,runwayml/gen4-aleph,video_change\n\
         \"edit, edit\",YES,-,-,EDIT_IMAGE,black-forest-labs/flux-kontext-max,clarify\n\
         {ANY}\n"
    );
    assert_eq!(
        problems(csv),
        [
            "line 2, column goal: unknown word \"paint\"",
            "line 2, column active_image: unknown word \"MAYBE\": write YES, NO or -",
            "line 2, column prompt_type: unknown word \"VIDEO_EDITS\"",
            "line 2, column enhancement: unknown word \"wild\"",
            "line 3, column active_image: the cell is empty",
            "line 4, column goal: edit is named twice",
        ]
    );
}

#[test]
fn columns_are_checked_before_rows() {
    let csv = format!("goal,goal,active_video,references,prompt_type,model,colour\n{ANY}\n");
    assert_eq!(
        problems(csv),
        [
            "line 1, column goal: column goal is there twice",
            "line 1, column 7: unknown column \"colour\"",
            "line 1, column active_image: missing column active_image",
            "line 1, column enhancement: missing column enhancement",
        ]
    );
    assert!(problems("").iter().any(|problem| problem == "line 1, column goal: missing column goal"));
}

#[test]
fn models_must_be_known_and_fit() {
    let csv = format!(
        "{HEADER}\nedit,-,YES,-,VIDEO_EDIT,acme/dream,video_change\ncreate_video,-,-,-,NEW_VIDEO,runway_gen4_image,scene\n{ANY}\n"
    );
    assert_eq!(
        problems(csv),
        [
            "line 2, column model: unknown model \"acme/dream\"",
            "line 3, column model: model \"runway_gen4_image\" does not make NEW_VIDEO",
        ]
    );
}

#[test]
fn duplicate_and_unreachable_rows_are_found() {
    let csv = format!(
        "#,{HEADER}\n\
         1,\"edit, add_element\",YES,-,-,EDIT_IMAGE,black-forest-labs/flux-kontext-max,clarify\n\
         2,\"add_element, edit\",YES,-,-,EDIT_IMAGE,black-forest-labs/flux-kontext-max,clarify\n\
         2,{ANY}\n\
         0,edit,NO,-,-,NEW_IMAGE,black-forest-labs/flux-1.1-pro,none\n"
    );
    assert_eq!(
        problems(&csv),
        [
            "line 3, column goal: duplicate of the row on line 2",
            "line 4, column #: duplicate number 2, as on line 3",
            "line 5, column #: \"0\" is not a whole number from 1",
        ]
    );
    let unreachable =
        format!("{HEADER}\n{ANY}\nedit,YES,-,-,EDIT_IMAGE,black-forest-labs/flux-kontext-max,clarify\n");
    let warning =
        "line 3, column goal, warning: unreachable row: the rows above it match all that it matches";
    assert_eq!(problems(&unreachable), [warning]);
    let matrix = Matrix::parse(unreachable.as_bytes(), &Catalogue::embedded()).unwrap();
    assert_eq!(matrix.warnings().len(), 1);
    assert_eq!(matrix.warnings()[0].severity, Severity::Warning);
}

#[test]
fn a_type_without_its_media_is_a_warning() {
    let csv = format!("{HEADER}\nedit,-,-,-,EDIT_IMAGE,black-forest-labs/flux-kontext-max,clarify\n{ANY}\n");
    let expected = "line 2, column prompt_type, warning: EDIT_IMAGE is reached with active_image NO, active_video NO, \
                    references NO, which lacks its media";
    assert_eq!(problems(csv), [expected]);
}

#[test]
fn missing_combinations_are_listed_once_each() {
    let csv = format!(
        "{HEADER}\n\"create_image, edit, add_element, create_video\",-,-,-,NEW_IMAGE,black-forest-labs/flux-1.1-pro,none\ncreate_video_with_audio,YES,-,-,IMAGE_TO_VIDEO_WITH_AUDIO,google/veo-3-fast,motion\n"
    );
    assert_eq!(
        problems(csv),
        [
            "line 4, column goal: no row for create_video_with_audio with active_image NO, active_video NO, references NO",
            "line 4, column goal: no row for create_video_with_audio with active_image NO, active_video YES, references NO",
            "line 4, column goal: no row for create_video_with_audio with active_image NO, active_video NO, references YES",
            "line 4, column goal: no row for create_video_with_audio with active_image NO, active_video YES, references YES",
        ]
    );
}

#[test]
fn one_check_reports_all_problems() {
    let csv = format!(
        "{HEADER}\n\
         create_image,-,-,-,NEW_PICTURE,acme/dream,none\n\
         create_image,YES,-,-,NEW_IMAGE,black-forest-labs/flux-1.1-pro,none\n\
         edit,MAYBE,-,NO,NEW_IMAGE,black-forest-labs/flux-1.1-pro,none\n\
         \"add_element, create_video, create_video_with_audio\",-,-,-,NEW_IMAGE,black-forest-labs/flux-1.1-pro,none\n"
    );
    assert_eq!(
        problems(csv),
        [
            "line 2, column prompt_type: unknown word \"NEW_PICTURE\"",
            "line 2, column model: unknown model \"acme/dream\"",
            "line 3, column goal, warning: unreachable row: the rows above it match all that it matches",
            "line 4, column active_image: unknown word \"MAYBE\": write YES, NO or -",
            // What line 4 could still mean is no gap. It is certain that line 4 does not match
            // references.
            "line 6, column goal: no row for edit with active_image NO, active_video NO, references YES",
            "line 6, column goal: no row for edit with active_image YES, active_video NO, references YES",
            "line 6, column goal: no row for edit with active_image NO, active_video YES, references YES",
            "line 6, column goal: no row for edit with active_image YES, active_video YES, references YES",
        ]
    );
}

#[test]
fn broken_rows_and_bytes_keep_their_lines() {
    let mut csv =
        format!("{HEADER}\n\n{ANY},one more\n\"edit,\nadd_element\",-,-,-,NEW_PICTURE,x,none\n").into_bytes();
    csv.extend_from_slice(b"edit,-,\xff,-,NEW_IMAGE,x,none\n");
    csv.extend_from_slice(format!("{ANY}\nedit,-\n").as_bytes());
    assert_eq!(
        problems(&csv),
        [
            "line 3, column 8: 8 cells where the header has 7",
            "line 4, column prompt_type: unknown word \"NEW_PICTURE\"",
            "line 4, column model: unknown model \"x\"",
            "line 6, column active_video: the row is not UTF-8",
            "line 8, column active_video: 2 cells where the header has 7",
        ]
    );
}

#[test]
fn a_header_that_is_not_text_is_a_problem() {
    assert_eq!(problems(b"goal,\xff\xfe,references\n"), ["line 1, column 2: the header is not UTF-8"]);
    // UTF-16, as spreadsheets save it.
    assert_eq!(problems(b"\xff\xfeg\0o\0"), ["line 1, column 1: the header is not UTF-8"]);
}

#[test]
fn reading_a_very_long_file_is_bounded() {
    let row = "edit,-,-,-,VIDEO,x,none\n";
    let problems = problems(format!("{HEADER}\n{}", row.repeat(5_000)));
    assert_eq!(problems.last().unwrap(), "line 1002, column goal: more than 1000 rows");
}

#[test]
fn another_matrix_has_another_version_and_other_decisions() {
    let csv = format!("{HEADER}\n{ANY}\n");
    let matrix = Matrix::parse(csv.as_bytes(), &Catalogue::embedded()).unwrap();
    assert_ne!(matrix.version(), Matrix::embedded().version());
    assert_eq!(matrix.decide(Goal::CreateVideo, Facts::default()).prompt_type, PromptType::NewImage);
    assert_eq!(matrix.feasible(Facts::default()).single(), Some(PromptType::NewImage));
    let hash = blake3::hash(csv.as_bytes()).to_hex();
    assert_eq!(matrix.version(), &hash.as_str()[..16], "anybody can compute it");
}

#[test]
fn rows_are_shown_in_the_words_of_the_file() {
    insta::assert_json_snapshot!(Matrix::embedded().rows()[0]);
    insta::assert_json_snapshot!(Catalogue::embedded().models()[2]);
}

/// A row as a person writes it: some goals, three facts, and one of four types with its model.
fn row() -> impl Strategy<Value = (Vec<Goal>, [u8; 3], usize)> {
    let goals = proptest::sample::subsequence(Goal::ALL.to_vec(), 1..=Goal::COUNT).prop_shuffle();
    (goals, [0_u8..3, 0..3, 0..3], 0..MADE.len())
}

const MADE: [(PromptType, &str); 4] = [
    (PromptType::NewImage, "black-forest-labs/flux-1.1-pro"),
    (PromptType::EditImage, "black-forest-labs/flux-kontext-max"),
    (PromptType::NewVideo, "minimax/hailuo-02"),
    (PromptType::VideoEdit, "runwayml/gen4-aleph"),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The first matching row decides, as a reader of the file expects.
    #[test]
    fn any_file_decides_as_it_reads(rows in proptest::collection::vec(row(), 0..12)) {
        let words = ["-", "YES", "NO"];
        let mut csv = format!("{HEADER}\n");
        for (goals, facts, made) in &rows {
            let goals: Vec<&str> = goals.iter().map(|goal| goal.as_str()).collect();
            let [image, video, references] = facts.map(|fact| words[usize::from(fact)]);
            let (prompt_type, model) = MADE[*made];
            let goals = goals.join(", ");
            writeln!(csv, "\"{goals}\",{image},{video},{references},{prompt_type},{model},none").unwrap();
        }
        csv.push_str(ANY);
        let Ok(matrix) = Matrix::parse(csv.as_bytes(), &Catalogue::embedded()) else {
            // Rows with the same conditions are refused, whatever else the file contains.
            let messages = problems(&csv);
            prop_assert!(messages.iter().any(|message| message.contains("duplicate of the row")), "{:?}", messages);
            return Ok(());
        };
        for goal in Goal::ALL {
            for facts in Facts::all() {
                let fits = |word: u8, given: bool| word == 0 || (word == 1) == given;
                let first = rows.iter().find(|(goals, [image, video, references], _)| {
                    goals.contains(&goal)
                        && fits(*image, facts.active_image)
                        && fits(*video, facts.active_video)
                        && fits(*references, facts.references())
                });
                let expected = first.map_or(PromptType::NewImage, |(_, _, made)| MADE[*made].0);
                prop_assert_eq!(matrix.decide(goal, facts).prompt_type, expected);
                prop_assert!(matrix.feasible(facts).contains(expected));
            }
        }
        let again = Matrix::parse(matrix.to_csv().as_bytes(), &Catalogue::embedded()).unwrap();
        prop_assert_eq!(again.rows(), matrix.rows());
    }
}
