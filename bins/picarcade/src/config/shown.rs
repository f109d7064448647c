//! The configuration as it is printed: each setting with its effective value and its origin.

use super::effective::Config;
use super::llm::base_url_variable;
use super::setting::key_of;
use super::stores::Database;

impl Config {
    /// Returns every setting without its secrets: key, value, origin. A setting that is not set
    /// has the value that the service uses in its place, or `-` if there is none.
    pub(crate) fn shown(&self) -> Vec<(String, String, String)> {
        let mut shown = self.layers.shown();
        for (key, value, _) in shown.iter_mut().filter(|(_, value, _)| value == "-") {
            if let Some(effective) = self.effective(key) {
                *value = effective;
            }
        }
        shown
    }

    /// Returns what the service uses for a setting that is not set.
    fn effective(&self, key: &str) -> Option<String> {
        let llm = self.llm.as_ref();
        match key {
            "llm_provider" => Some(llm.map_or("none", |llm| llm.provider.as_str()).to_owned()),
            "llm_model" => llm.map(|llm| llm.provider.default_model().to_owned()),
            "llm_mode" => Some(self.policy.mode.to_string()),
            "rules" | "models" => Some("embedded".to_owned()),
            "database_url" => Some(match &self.database {
                Database::Sqlite(path) => format!("sqlite://{}/picarcade.db", path.display()),
                Database::Postgres(_) => return None,
            }),
            key => {
                let provider = llm?.provider;
                let is_its_url = key == key_of(&base_url_variable(provider));
                is_its_url.then(|| provider.default_base_url().to_owned())
            }
        }
    }
}
