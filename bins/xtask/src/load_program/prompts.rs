//! The requests of the users: a few thousand, some of them much more frequent than others.

use bytes::Bytes;
use serde_json::json;

const SUBJECTS: [&str; 16] = [
    "a lighthouse",
    "an old tram",
    "a fox",
    "two dancers",
    "a bakery",
    "the harbour",
    "a violin maker",
    "a red kite",
    "a glass city",
    "an orchard",
    "a night train",
    "a snow leopard",
    "a clock tower",
    "a paper boat",
    "a beekeeper",
    "a desert camp",
];
const PLACES: [&str; 16] = [
    "in the rain",
    "at dawn",
    "under a full moon",
    "in thick fog",
    "by the sea",
    "in an empty street",
    "in winter",
    "behind a window",
    "on a hill",
    "at a market",
    "in a forest",
    "under water",
    "in the desert",
    "on a rooftop",
    "at noon",
    "in spring",
];
const WISHES: [(&str, bool); 12] = [
    ("a photo of", false),
    ("an oil painting of", false),
    ("a short clip of", false),
    ("a video with music of", false),
    ("a poster with", false),
    ("a pencil drawing of", false),
    ("add", true),
    ("replace the background by", true),
    ("make it look like", true),
    ("animate", true),
    ("make the colours those of", true),
    ("remove", true),
];

/// Request bodies, the most frequent first.
#[derive(Debug)]
pub(crate) struct Prompts {
    bodies: Vec<Bytes>,
    /// The cumulative share of requests up to this one.
    shares: Vec<f64>,
}

impl Prompts {
    /// Creates all requests. The share of the n-th is proportional to 1/n.
    pub(crate) fn new() -> Self {
        let mut bodies = Vec::new();
        for subject in SUBJECTS {
            for place in PLACES {
                for (wish, open) in WISHES {
                    let prompt = format!("{wish} {subject} {place}");
                    let user = format!("user-{}", bodies.len() % 500);
                    let body = json!({"prompt": prompt, "active_image": open, "user_id": user});
                    bodies.push(Bytes::from(body.to_string()));
                }
            }
        }
        fastrand::Rng::with_seed(7).shuffle(&mut bodies);
        let mut sum = 0.0;
        let mut shares: Vec<f64> = (1..=bodies.len())
            .map(|rank| {
                sum += 1.0 / rank as f64;
                sum
            })
            .collect();
        for share in &mut shares {
            *share /= sum;
        }
        Self { bodies, shares }
    }

    /// Returns one of them according to its share.
    pub(crate) fn draw(&self, random: &mut fastrand::Rng) -> Bytes {
        let at = random.f64();
        let index = self.shares.partition_point(|share| *share < at).min(self.bodies.len() - 1);
        self.bodies.get(index).cloned().unwrap_or_default()
    }
}
