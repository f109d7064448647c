//! One row of the decision matrix, and its CSV form.

use serde::{Deserialize, Serialize};

use crate::error::impl_words;
use crate::goal::Goal;
use crate::prompt_type::PromptType;

/// How a prompt is enhanced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = EnhancementStrategy))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Strategy {
    /// The prompt unchanged.
    None,
    /// A light edit for clarity that states what stays the same.
    Clarify,
    /// A light edit for clarity that keeps the identity of referenced people.
    ClarifyKeepIdentity,
    /// Rewritten with tags: what is taken from which source into the working image, and what stays.
    RewriteTags,
    /// A structured scene: subject, setting, style, camera, light, palette, and the sound for types
    /// with audio.
    Scene,
    /// The motion, faithful to the image.
    Motion,
    /// Two steps: the change of the image, then the motion.
    UpdateThenMotion,
    /// The change, faithful to the video.
    VideoChange,
}

impl Strategy {
    /// Every strategy, in declaration order.
    pub const ALL: [Self; 8] = [
        Self::None,
        Self::Clarify,
        Self::ClarifyKeepIdentity,
        Self::RewriteTags,
        Self::Scene,
        Self::Motion,
        Self::UpdateThenMotion,
        Self::VideoChange,
    ];

    /// Returns the name in the decision matrix, such as `clarify`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Clarify => "clarify",
            Self::ClarifyKeepIdentity => "clarify_keep_identity",
            Self::RewriteTags => "rewrite_tags",
            Self::Scene => "scene",
            Self::Motion => "motion",
            Self::UpdateThenMotion => "update_then_motion",
            Self::VideoChange => "video_change",
        }
    }

    /// Returns the default strategy of a type.
    pub const fn of(prompt_type: PromptType) -> Self {
        match prompt_type {
            PromptType::NewImage => Self::None,
            PromptType::NewImageRef => Self::ClarifyKeepIdentity,
            PromptType::EditImage => Self::Clarify,
            PromptType::EditImageRef | PromptType::EditImageAddNew => Self::RewriteTags,
            PromptType::NewVideo | PromptType::NewVideoWithAudio => Self::Scene,
            PromptType::ImageToVideo | PromptType::ImageToVideoWithAudio => Self::Motion,
            PromptType::EditImageRefToVideo => Self::UpdateThenMotion,
            PromptType::VideoEdit | PromptType::VideoEditRef => Self::VideoChange,
        }
    }
}

impl_words!(Strategy, "enhancement");

/// One row: its conditions and its result.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MatrixRow {
    /// The number in the file: its `#`, or its position from 1 without such a column.
    pub number: u32,
    /// The goals of the row, in the order of their declaration; all five match any goal.
    pub goals: Vec<Goal>,
    /// Whether a working image must be open; null for either.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub active_image: Option<bool>,
    /// Whether a working video must be open; null for either.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub active_video: Option<bool>,
    /// Whether references must be present; null for either.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub references: Option<bool>,
    /// The type of the request.
    pub prompt_type: PromptType,
    /// The default model.
    pub model: String,
    /// The enhancement strategy.
    pub enhancement: Strategy,
}

/// Formats the rows as a CSV with every column.
pub(super) fn to_csv(rows: &[MatrixRow]) -> String {
    let mut csv = String::from("#,goal,active_image,active_video,references,prompt_type,model,enhancement\n");
    let fact = |fact: Option<bool>| fact.map_or("-", |yes| if yes { "YES" } else { "NO" });
    for row in rows {
        let goals = if row.goals.len() == Goal::COUNT {
            "-".to_owned()
        } else {
            row.goals.iter().map(|goal| goal.as_str()).collect::<Vec<_>>().join(", ")
        };
        let cells = [
            &*row.number.to_string(),
            &*goals,
            fact(row.active_image),
            fact(row.active_video),
            fact(row.references),
            row.prompt_type.as_str(),
            &*row.model,
            row.enhancement.as_str(),
        ];
        csv.push_str(&cells.map(quoted).join(","));
        csv.push('\n');
    }
    csv
}

/// Formats a cell as RFC 4180 requires.
fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}
