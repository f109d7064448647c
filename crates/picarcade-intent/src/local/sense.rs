//! What a prompt says, before the facts give it a meaning.
//!
//! The same words are a different goal under different facts: "add some music" asks for a video
//! with sound if a picture is open, and for an edit if a video is open. A model of goals would have
//! to learn every such sentence once per combination of facts. The model therefore learns *senses*,
//! which depend on the words alone. The table below, written by hand from the taxonomy, maps a
//! sense to goals. Fractions in the table express real ambiguity: "make the waves move" with a
//! video open is mostly, but not always, a change to that video.

use std::fmt;
use std::str::FromStr;

use crate::error::UnknownWord;
use crate::{Facts, Goal};

/// One of eight meanings of words, independent of the open media.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sense {
    /// A whole picture: described from nothing, or requested.
    Picture,
    /// A change to what is there, or a fragment of a description that only makes sense as a change.
    Edit,
    /// Something new that stands in the scene by itself.
    Add,
    /// A new video, film, clip or animation.
    Video,
    /// A new video with sound.
    VideoSound,
    /// Movement for what is there.
    Animate,
    /// Sound for what is there: speech, song, music, effects.
    Sound,
    /// A change of time itself: speed, length, loop, order, cut.
    Timing,
}

/// The open media, as far as the meaning of a sense depends on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Regime {
    /// No working image, no working video, and no references.
    Nothing,
    /// References only.
    References,
    /// A working image, and no working video.
    Image,
    /// A working video.
    Video,
}

impl Sense {
    /// The number of senses.
    pub const COUNT: usize = 8;

    /// Every sense, in declaration order.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Picture,
        Self::Edit,
        Self::Add,
        Self::Video,
        Self::VideoSound,
        Self::Animate,
        Self::Sound,
        Self::Timing,
    ];

    /// Returns the name in the corpus, such as `video_sound`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Picture => "picture",
            Self::Edit => "edit",
            Self::Add => "add",
            Self::Video => "video",
            Self::VideoSound => "video_sound",
            Self::Animate => "animate",
            Self::Sound => "sound",
            Self::Timing => "timing",
        }
    }

    /// Returns how much more often than others a sense is meant under some facts, before any word
    /// is read.
    ///
    /// The corpus contains about as much of each sense, and four of the eight lead to a video, so
    /// words without meaning would become a video. Most people ask for a picture or a change to
    /// what is open. These are also the cheapest errors. Prompts of sources that a training never
    /// saw chose the values.
    pub(crate) const fn prior(self, regime: Regime) -> f32 {
        match (self, regime) {
            (Self::Edit, Regime::Image | Regime::Video | Regime::References) => 1.7,
            (Self::Picture, Regime::Nothing) => 2.0,
            (Self::Picture, Regime::References | Regime::Image) => 1.4,
            // Sound is the most expensive, and people who want it say so.
            (Self::VideoSound | Self::Sound, _) => 0.85,
            _ => 1.0,
        }
    }

    /// Multiplies the probability of each sense by its prior, so that they sum to one again.
    pub(crate) fn weigh(mut senses: [f32; Self::COUNT], regime: Regime) -> [f32; Self::COUNT] {
        let mut sum = 0.0;
        for (share, sense) in senses.iter_mut().zip(Self::ALL) {
            *share *= sense.prior(regime);
            sum += *share;
        }
        senses.map(|share| share / sum)
    }

    /// Returns the goals of this sense under some facts with their shares, which sum to one.
    pub(crate) const fn goals(self, regime: Regime) -> [(Goal, f32); 2] {
        use Goal::{AddElement, CreateImage, CreateVideo, CreateVideoWithAudio, Edit};
        match (self, regime) {
            (Self::Picture, Regime::Video) => [(CreateImage, 0.9), (Edit, 0.1)],
            (Self::Picture, _) => [(CreateImage, 1.0), (Edit, 0.0)],
            (Self::Edit, _) => [(Edit, 1.0), (CreateImage, 0.0)],
            (Self::Add, _) => [(AddElement, 1.0), (Edit, 0.0)],
            (Self::Animate, Regime::Video) => [(Edit, 0.7), (CreateVideo, 0.3)],
            (Self::Video | Self::Animate, _) => [(CreateVideo, 1.0), (CreateVideoWithAudio, 0.0)],
            (Self::VideoSound, _) => [(CreateVideoWithAudio, 1.0), (CreateVideo, 0.0)],
            (Self::Sound, Regime::Video) => [(Edit, 0.95), (CreateVideoWithAudio, 0.05)],
            (Self::Sound, _) => [(CreateVideoWithAudio, 1.0), (CreateVideo, 0.0)],
            (Self::Timing, Regime::Video) => [(Edit, 1.0), (CreateVideo, 0.0)],
            (Self::Timing, _) => [(CreateVideo, 0.8), (Edit, 0.2)],
        }
    }
}

impl fmt::Display for Sense {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Sense {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|sense| sense.as_str() == word)
            .ok_or_else(|| UnknownWord::new("sense", word))
    }
}

impl Regime {
    /// The number of regimes.
    pub(crate) const COUNT: usize = 4;

    /// Returns the regime of some facts. A working video hides a working image: a change is then a
    /// change to the video.
    pub(crate) const fn of(facts: Facts) -> Self {
        if facts.active_video {
            Self::Video
        } else if facts.active_image {
            Self::Image
        } else if facts.references() {
            Self::References
        } else {
            Self::Nothing
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_sum_to_one_for_every_sense_and_every_facts() {
        for facts in Facts::all() {
            for sense in Sense::ALL {
                let sum: f32 = sense.goals(Regime::of(facts)).iter().map(|(_, share)| share).sum();
                assert!((sum - 1.0).abs() < 1e-6, "{sense} under {facts:?}");
            }
        }
    }

    #[test]
    fn words_round_trip() {
        for (index, sense) in Sense::ALL.into_iter().enumerate() {
            assert_eq!(sense as usize, index);
            assert_eq!(sense.as_str().parse::<Sense>().unwrap(), sense);
        }
        assert!("noise".parse::<Sense>().is_err());
    }
}
