//! The form of a language's table.

/// The function words of one language.
///
/// The words of [`Negation`] are compared after folding, so they are written without case and
/// accents where the script has them. The stems of injections are compared in lower case only.
#[derive(Debug)]
pub(crate) struct Language {
    /// The words that negate, or that end the reach of a negation.
    pub(crate) negation: Negation,
    /// Stems of words for instructions. A stem that several languages share is listed once.
    pub(crate) instructions: &'static [&'static str],
    /// Stems of words that ask to ignore something.
    pub(crate) ignoring: &'static [&'static str],
}

/// The negations of one language.
#[derive(Debug)]
pub(crate) struct Negation {
    /// Words that negate what follows, to the end of the clause. Without following words, they
    /// negate what precedes ("video no, solo foto").
    pub(crate) forward: &'static [&'static str],
    /// Words that negate what precedes, back to the start of the clause.
    pub(crate) back: &'static [&'static str],
    /// Words that negate what follows and the two preceding words, for languages that put the verb
    /// first ("anime pas", "animier das nicht").
    pub(crate) both: &'static [&'static str],
    /// Words that negate what precedes, but only after another negation ("видео не надо").
    pub(crate) conditional: &'static [&'static str],
    /// Words that begin a clause that an earlier negation does not reach ("but", "sondern").
    pub(crate) ends: &'static [&'static str],
    /// Negations of a script without spaces.
    pub(crate) unspaced: &'static [Unspaced],
    /// Characters of a script without spaces at which a clause ends without punctuation.
    pub(crate) unspaced_ends: &'static [char],
}

/// A negation of a script without spaces.
#[derive(Debug)]
pub(crate) struct Unspaced {
    /// Its characters, folded.
    pub(crate) chars: &'static [char],
    /// Whether it negates what follows. Otherwise it negates what precedes.
    pub(crate) is_forward: bool,
}

impl Negation {
    /// The table of a language without any negation.
    pub(super) const NONE: Self = Self {
        forward: &[],
        back: &[],
        both: &[],
        conditional: &[],
        ends: &[],
        unspaced: &[],
        unspaced_ends: &[],
    };
}
