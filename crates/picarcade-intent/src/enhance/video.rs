//! The offline forms for videos.
//!
//! What the words leave open gets a default that is named as one ("otherwise …"), because nothing here can tell in every
//! language whether a camera movement was asked for.

use super::{Frame, words};

/// A structured scene from words alone. There is nothing to preserve, so a detailed prompt stays as it is.
pub(super) fn scene(frame: &Frame<'_>) -> String {
    let prompt = frame.request.prompt.as_str().trim();
    if words::is_detailed(prompt) {
        return prompt.to_owned();
    }
    let mut scene = format!(
        "Subject: {}\n\
         Setting: as described, otherwise a place that suits the subject, with depth behind it.\n\
         Visual style: as described, otherwise photorealistic; the same from the first frame to the last.\n\
         Camera movement: as described, otherwise a slow and steady push in.\n\
         Lighting and mood: as described, otherwise soft natural light.\n\
         Palette: as described, otherwise a few harmonious colours.",
        frame.sentence()
    );
    if frame.audio {
        scene.push_str("\nSound cues: as described, otherwise the natural sounds of the scene, in time with the picture.");
        scene.push_str("\nDialogue: ");
        scene.push_str(&dialogue(prompt));
    }
    scene
}

/// The working image in motion.
pub(super) fn motion(frame: &Frame<'_>) -> String {
    const KEEP: &str = "Stay faithful to the image: the same subject, composition, style and colours, and no motion that \
                        changes them.";
    frame.detailed(KEEP).unwrap_or_else(|| {
        let sound = sound(frame);
        format!(
            "{} Animate smoothly and naturally, moving only what is asked for. {KEEP}{sound}",
            frame.sentence()
        )
    })
}

/// The image first, then its motion.
pub(super) fn update_then_motion(frame: &Frame<'_>) -> String {
    let sources = frame.sources.list();
    let (update, keep) = if frame.request.facts.active_image {
        (
            format!("start from @working_image and bring in what is asked for from {sources}"),
            "Keep everything that is not mentioned as it is in @working_image, and the motion faithful to the updated image.",
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
    if frame.sources.take_part() {
        keep = format!("Take only what is asked for from {}. ", frame.sources.list());
    }
    keep.push_str(
        "Keep everything that is not mentioned exactly as it is in the video: people, motion, camera, timing and sound.",
    );
    frame.detailed(&keep).unwrap_or_else(|| format!("{} {keep}", frame.sentence()))
}

/// The sound of a video, as a continuation; empty when none is wanted.
fn sound(frame: &Frame<'_>) -> String {
    if !frame.audio {
        return String::new();
    }
    let spoken = dialogue(frame.request.prompt.as_str());
    format!(
        " Sound: as described, otherwise natural to the scene, in time with the picture. Dialogue: {spoken}"
    )
}

/// What is spoken: the words in quotes, if there are any.
fn dialogue(prompt: &str) -> String {
    let spoken = words::quoted(prompt);
    if spoken.is_empty() {
        return "only what is asked for, with matching lips.".to_owned();
    }
    let lines: Vec<String> = spoken.iter().map(|words| format!("\"{words}\"")).collect();
    format!("{}, with matching lips.", lines.join(", "))
}
