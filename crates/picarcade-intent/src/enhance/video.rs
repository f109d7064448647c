//! The offline forms for videos.
//!
//! What the words leave open gets a default with an exception ("unless …"), because it cannot be
//! detected in every language whether a camera movement was requested.

use super::{Frame, speech, words};

const SOUNDS: &str = "what is described above and the natural sounds of the scene, in time with the picture.";

/// A structured scene from words alone. Nothing must be preserved, so a detailed prompt stays
/// unchanged.
pub(super) fn scene(frame: &Frame<'_>) -> String {
    let prompt = frame.request.prompt.as_str().trim();
    if words::is_detailed(prompt) {
        return prompt.to_owned();
    }
    let mut scene = format!(
        "Subject: {}\n\
         Setting: the place described above or else one that suits the subject, with depth in the background.\n\
         Visual style: photorealistic unless described otherwise, and the same from the first frame to the last.\n\
         Camera movement: a slow, steady push in unless described otherwise.\n\
         Lighting and mood: soft natural light unless described otherwise, in the mood of the scene.\n\
         Palette: a few harmonious colours that fit the scene.",
        frame.sentence()
    );
    if frame.audio {
        scene.push_str("\nSound cues: ");
        scene.push_str(SOUNDS);
        scene.push_str("\nDialogue: ");
        scene.push_str(&dialogue(prompt));
    }
    scene
}

/// The working image in motion.
pub(super) fn motion(frame: &Frame<'_>) -> String {
    const KEEP: &str = "Stay faithful to the image: it is the first frame, and its subjects, style and colours stay the same \
                        throughout.";
    frame.detailed(KEEP).unwrap_or_else(|| {
        format!("{} Animate it smoothly and naturally. {KEEP}{}", frame.sentence(), sound(frame))
    })
}

/// The image first, then its motion.
pub(super) fn update_then_motion(frame: &Frame<'_>) -> String {
    let sources = frame.sources.list();
    let (update, keep) = if frame.request.facts.active_image {
        (
            format!("start from @working_image and bring in what is asked for from {sources}"),
            "Keep everything else as it is in @working_image, and the motion faithful to the updated image.",
        )
    } else {
        (
            format!("compose it from {sources} as described"),
            "Keep everyone and everything in the references recognisable, and the motion faithful to the composed image.",
        )
    };
    let detailed = format!("Take what is asked for from {sources}. {keep}");
    frame.detailed(&detailed).unwrap_or_else(|| {
        format!(
            "{} Step 1, the image: {update}. Step 2, the motion: animate that image as described, smoothly and naturally. \
             {keep}{}",
            frame.sentence(),
            sound(frame)
        )
    })
}

/// A change to the working video.
pub(super) fn change(frame: &Frame<'_>) -> String {
    let mut keep = String::new();
    if frame.sources.take_part {
        keep = format!("Take only what is asked for from {}. ", frame.sources.list());
    }
    keep.push_str(
        "Keep everything else in the video exactly as it is: people, motion, camera, timing and sound stay unless the \
         change is about them.",
    );
    frame.keeping(&keep)
}

/// The sound of a video as a further sentence; empty if none is wanted.
fn sound(frame: &Frame<'_>) -> String {
    if !frame.audio {
        return String::new();
    }
    format!(" Sound: {SOUNDS} Dialogue: {}", dialogue(frame.request.prompt.as_str()))
}

/// The spoken words: the text in quotes, if there is any.
fn dialogue(prompt: &str) -> String {
    let spoken = speech::quoted(prompt);
    if spoken.is_empty() {
        return "only what is described above, with matching lips.".to_owned();
    }
    let lines: Vec<String> = spoken.iter().map(|words| format!("\"{words}\"")).collect();
    format!("{}, word for word where it is spoken, with matching lips.", lines.join(", "))
}
