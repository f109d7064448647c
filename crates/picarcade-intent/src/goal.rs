//! What the words of a prompt ask for.
//!
//! A goal is what a reader understands from the words. The [prompt type](crate::PromptType) follows
//! from the goal under the [facts](crate::Facts). Because the two are separate, the local
//! classifier learns five classes instead of twelve, and the decision matrix can be data. An
//! unknown word is an error and never a default.

use serde::{Deserialize, Serialize};

use crate::error::impl_words;

/// One of five things that a prompt can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// A new still picture; also the default if nothing else is asked for, as in a bare
    /// description.
    CreateImage,
    /// A change to what is there: color, light, removal, replacement, style, clothes, hair,
    /// background.
    Edit,
    /// A new person, animal or object placed into the scene.
    AddElement,
    /// Moving pictures as the output.
    CreateVideo,
    /// Moving pictures as the output, with sound as part of it.
    CreateVideoWithAudio,
}

impl Goal {
    /// The number of goals.
    pub const COUNT: usize = 5;

    /// Every goal, in declaration order: `Goal::ALL[goal as usize] == goal`.
    pub const ALL: [Self; Self::COUNT] =
        [Self::CreateImage, Self::Edit, Self::AddElement, Self::CreateVideo, Self::CreateVideoWithAudio];

    /// Returns the name in the decision matrix and in JSON, such as `create_image`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CreateImage => "create_image",
            Self::Edit => "edit",
            Self::AddElement => "add_element",
            Self::CreateVideo => "create_video",
            Self::CreateVideoWithAudio => "create_video_with_audio",
        }
    }
}

impl_words!(Goal, "goal");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_round_trip_as_text_and_as_json() {
        for (index, goal) in Goal::ALL.into_iter().enumerate() {
            assert_eq!(goal as usize, index);
            assert_eq!(goal.as_str().parse::<Goal>().unwrap(), goal);
            assert_eq!(serde_json::to_value(goal).unwrap(), goal.as_str());
        }
        assert_eq!("paint".parse::<Goal>().unwrap_err().to_string(), "unknown goal \"paint\"");
    }
}
