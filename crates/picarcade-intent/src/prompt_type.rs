//! The twelve kinds of work that a request can be.
//!
//! A prompt type says which media go in, which come out, and whether there is sound. Models are
//! chosen by it. Its upper-case name is used on the wire, in the decision matrix and in analytics.
//! An unknown name is an error and never a default.

use serde::{Deserialize, Serialize};

use crate::error::impl_words;
use crate::facts::Facts;

/// One of twelve kinds of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PromptType {
    /// A picture from words alone.
    NewImage,
    /// A picture from words and reference images.
    NewImageRef,
    /// A change to the working image.
    EditImage,
    /// A change to the working image that uses parts of reference images.
    EditImageRef,
    /// A new element from a reference image, placed into the working image.
    EditImageAddNew,
    /// A silent video from words alone.
    NewVideo,
    /// A video with sound from words alone.
    NewVideoWithAudio,
    /// The working image set in motion.
    ImageToVideo,
    /// The working image set in motion, with sound.
    ImageToVideoWithAudio,
    /// A picture made or changed with reference images, then set in motion.
    EditImageRefToVideo,
    /// A change to the working video.
    VideoEdit,
    /// A change to the working video that uses parts of reference images.
    VideoEditRef,
}

impl PromptType {
    /// The number of types.
    pub const COUNT: usize = 12;

    /// Every type, in declaration order: `PromptType::ALL[t as usize] == t`.
    pub const ALL: [Self; Self::COUNT] = [
        Self::NewImage,
        Self::NewImageRef,
        Self::EditImage,
        Self::EditImageRef,
        Self::EditImageAddNew,
        Self::NewVideo,
        Self::NewVideoWithAudio,
        Self::ImageToVideo,
        Self::ImageToVideoWithAudio,
        Self::EditImageRefToVideo,
        Self::VideoEdit,
        Self::VideoEditRef,
    ];

    /// Returns the name outside of this process, such as `NEW_IMAGE`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NewImage => "NEW_IMAGE",
            Self::NewImageRef => "NEW_IMAGE_REF",
            Self::EditImage => "EDIT_IMAGE",
            Self::EditImageRef => "EDIT_IMAGE_REF",
            Self::EditImageAddNew => "EDIT_IMAGE_ADD_NEW",
            Self::NewVideo => "NEW_VIDEO",
            Self::NewVideoWithAudio => "NEW_VIDEO_WITH_AUDIO",
            Self::ImageToVideo => "IMAGE_TO_VIDEO",
            Self::ImageToVideoWithAudio => "IMAGE_TO_VIDEO_WITH_AUDIO",
            Self::EditImageRefToVideo => "EDIT_IMAGE_REF_TO_VIDEO",
            Self::VideoEdit => "VIDEO_EDIT",
            Self::VideoEditRef => "VIDEO_EDIT_REF",
        }
    }

    /// Returns a short description for users, such as `Video with sound`.
    pub const fn description(self) -> &'static str {
        match self {
            Self::NewImage => "New picture",
            Self::NewImageRef => "New picture from references",
            Self::EditImage => "Change of the picture",
            Self::EditImageRef => "Change of the picture with references",
            Self::EditImageAddNew => "New element in the picture",
            Self::NewVideo => "Video",
            Self::NewVideoWithAudio => "Video with sound",
            Self::ImageToVideo => "Video from the picture",
            Self::ImageToVideoWithAudio => "Video with sound from the picture",
            Self::EditImageRefToVideo => "Video with references",
            Self::VideoEdit => "Change of the video",
            Self::VideoEditRef => "Change of the video with references",
        }
    }

    /// Returns whether the work uses the working image if there is one. A new picture or video does
    /// not use it.
    pub const fn uses_working_image(self) -> bool {
        matches!(
            self,
            Self::EditImage
                | Self::EditImageRef
                | Self::EditImageAddNew
                | Self::ImageToVideo
                | Self::ImageToVideoWithAudio
                | Self::EditImageRefToVideo
        )
    }

    /// Returns whether the work uses the working video.
    pub const fn uses_working_video(self) -> bool {
        matches!(self, Self::VideoEdit | Self::VideoEditRef)
    }

    /// Returns whether the work uses reference images.
    pub const fn uses_references(self) -> bool {
        matches!(
            self,
            Self::NewImageRef
                | Self::EditImageRef
                | Self::EditImageAddNew
                | Self::EditImageRefToVideo
                | Self::VideoEditRef
        )
    }

    /// Returns whether the work can be done with the media that `facts` promise.
    ///
    /// `EDIT_IMAGE_REF_TO_VIDEO` needs a reference and uses the working image if there is one.
    pub const fn is_possible_with(self, facts: Facts) -> bool {
        let needs_image = self.uses_working_image() && !matches!(self, Self::EditImageRefToVideo);
        (!needs_image || facts.active_image)
            && (!self.uses_working_video() || facts.active_video)
            && (!self.uses_references() || facts.references())
    }
}

impl_words!(PromptType, "prompt type");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_round_trip_as_text_and_as_json() {
        for (index, prompt_type) in PromptType::ALL.into_iter().enumerate() {
            assert_eq!(prompt_type as usize, index);
            assert_eq!(prompt_type.as_str().parse::<PromptType>().unwrap(), prompt_type);
            assert_eq!(serde_json::to_value(prompt_type).unwrap(), prompt_type.as_str());
        }
        assert!("new_image".parse::<PromptType>().is_err());
    }
}
