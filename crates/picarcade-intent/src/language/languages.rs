//! The function words of every language.

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
    const NONE: Self = Self {
        forward: &[],
        back: &[],
        both: &[],
        conditional: &[],
        ends: &[],
        unspaced: &[],
        unspaced_ends: &[],
    };
}

/// Every language that has a table.
pub(crate) static LANGUAGES: [Language; 13] = [
    // Arabic.
    Language {
        negation: Negation {
            forward: &["لا", "بدون", "ليس", "دون", "بلا"],
            ends: &["لكن", "فقط", "بل", "و"],
            ..Negation::NONE
        },
        instructions: &["تعليمات"],
        ignoring: &["تجاهل"],
    },
    // Chinese. Negations are in simplified characters, as folding leaves them. The words of
    // injections are compared unfolded.
    Language {
        negation: Negation {
            unspaced: &[
                Unspaced { chars: &['不', '要'], is_forward: true },
                Unspaced { chars: &['不', '用'], is_forward: true },
                Unspaced { chars: &['不', '需'], is_forward: true },
                Unspaced { chars: &['不', '想'], is_forward: true },
                Unspaced { chars: &['别'], is_forward: true },
                Unspaced { chars: &['没', '有'], is_forward: true },
                Unspaced { chars: &['无', '需'], is_forward: true },
                Unspaced { chars: &['而', '不', '是'], is_forward: true },
                Unspaced { chars: &['不', '是'], is_forward: true },
            ],
            unspaced_ends: &['只', '但', '而', '就'],
            ..Negation::NONE
        },
        instructions: &["指示", "指令", "命令"],
        ignoring: &["忽略", "无视", "忘记", "忘掉", "不要理会"],
    },
    // English.
    Language {
        negation: Negation {
            forward: &[
                "not", "no", "dont", "never", "without", "nothing", "doesnt", "shouldnt", "isnt", "wont",
                "nor", "neither",
            ],
            ends: &["but", "just", "only", "instead", "rather", "simply", "and", "then"],
            ..Negation::NONE
        },
        instructions: &["instruc", "system prompt", "decision matrix"],
        ignoring: &["ignor", "disregard", "forget", "overrid", "bypass"],
    },
    // French.
    Language {
        negation: Negation {
            forward: &["ne", "sans", "jamais", "aucun", "aucune"],
            both: &["pas"],
            ends: &["mais", "juste", "seulement", "plutot", "et"],
            ..Negation::NONE
        },
        instructions: &["consigne"],
        ignoring: &["ne tiens pas compte", "ne tenez pas compte", "oublie"],
    },
    // German.
    Language {
        negation: Negation {
            forward: &["kein", "keine", "keinen", "keinem", "ohne", "nie", "niemals"],
            both: &["nicht"],
            ends: &["sondern", "aber", "nur", "stattdessen", "und", "lediglich"],
            ..Negation::NONE
        },
        instructions: &["instruk", "anweisung", "vorgaben", "systemprompt"],
        ignoring: &["vergiss", "missachte"],
    },
    // Hindi. Words in Latin letters are how many people type it.
    Language {
        negation: Negation {
            forward: &["bina"],
            back: &["बिना", "नहीं", "ना", "मत", "mat", "nahi", "nahin"],
            ends: &["बस", "लेकिन", "सिर्फ", "केवल", "और", "balki", "bas", "sirf", "lekin", "aur"],
            ..Negation::NONE
        },
        instructions: &["निर्देश"],
        ignoring: &["अनदेखा", "नज़रअंदाज़", "भूल जा"],
    },
    // Italian.
    Language {
        negation: Negation {
            forward: &["non", "senza", "mai", "nessun", "nessuna"],
            ends: &["ma", "soltanto", "bensi", "solo", "e"],
            ..Negation::NONE
        },
        instructions: &["istruzion"],
        ignoring: &["dimentica"],
    },
    // Japanese. It shares its words for instructions with Chinese.
    Language {
        negation: Negation {
            unspaced: &[
                Unspaced { chars: &['な', 'い', 'で'], is_forward: false },
                Unspaced { chars: &['な', 'く', 'て'], is_forward: false },
                Unspaced { chars: &['な', 'し'], is_forward: false },
                Unspaced { chars: &['无', 'し'], is_forward: false },
                Unspaced { chars: &['せ', 'ず'], is_forward: false },
                Unspaced { chars: &['ず', 'に'], is_forward: false },
                Unspaced { chars: &['じ', 'ゃ', 'な', 'く'], is_forward: false },
                Unspaced { chars: &['で', 'は', 'な', 'く'], is_forward: false },
            ],
            ..Negation::NONE
        },
        instructions: &[],
        ignoring: &["無視", "忘れ"],
    },
    // Korean.
    Language {
        negation: Negation {
            back: &[
                "말고",
                "말아",
                "말아줘",
                "마",
                "마세요",
                "마라",
                "없이",
                "없는",
                "않고",
                "않게",
                "아니라",
            ],
            ends: &["그냥", "그리고", "대신", "하지만", "단지"],
            ..Negation::NONE
        },
        instructions: &["지시", "명령"],
        ignoring: &["무시", "잊어"],
    },
    // Portuguese.
    Language {
        negation: Negation {
            forward: &["nao", "sem", "nem", "nenhum", "nenhuma"],
            ends: &["mas", "apenas", "so", "somente", "e"],
            ..Negation::NONE
        },
        instructions: &["instruç"],
        ignoring: &["esqueç", "esquece", "desconsider"],
    },
    // Russian.
    Language {
        negation: Negation {
            forward: &["не", "без", "нет", "никакой", "никаких"],
            conditional: &["надо", "нужно", "нужен", "нужна", "нужны", "нада"],
            ends: &["но", "а", "только", "просто", "лишь", "и"],
            ..Negation::NONE
        },
        instructions: &["инструкц", "указани"],
        ignoring: &["игнор", "забудь", "не обращай внимания"],
    },
    // Spanish. The stems of its word for instructions are those of English.
    Language {
        negation: Negation {
            forward: &["no", "sin", "nunca", "jamas", "ningun", "ninguna"],
            ends: &["pero", "sino", "solo", "solamente", "y", "luego"],
            ..Negation::NONE
        },
        instructions: &[],
        ignoring: &["olvida", "no hagas caso"],
    },
    // Turkish.
    Language {
        negation: Negation {
            back: &["olmadan", "degil", "olmasin", "istemiyorum", "yok"],
            ends: &["ama", "sadece", "yalnizca", "ve"],
            ..Negation::NONE
        },
        instructions: &["talimat", "yönerge", "yönlendirme"],
        ignoring: &["yok say", "görmezden", "dikkate alma"],
    },
];
