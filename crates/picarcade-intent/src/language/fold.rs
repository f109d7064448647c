//! Folds spelling variants into one form.
//!
//! People write the same word in capitals, without accents, in full-width letters, with three
//! vowels for emphasis, or in traditional characters. Folding removes differences without meaning,
//! so the model learns each word once. It is smaller than NFKC of Unicode with case folding and
//! differs from it deliberately: Latin diacritics, Arabic vowel marks and alef forms are removed
//! too, and traditional characters of this domain become simplified ones. For Japanese that is a
//! wrong spelling and still identifies the word. Unknown characters stay unchanged.

/// Returns the folded character, or `None` if the character has no meaning of its own.
pub(crate) fn fold(c: char) -> Option<char> {
    if c.is_ascii() {
        return Some(c.to_ascii_lowercase());
    }
    let c = match c {
        // Full-width forms of ASCII, the ideographic space, and half-width katakana have the layout
        // of ASCII.
        '\u{ff01}'..='\u{ff5e}' => {
            let narrow = char::from_u32(c as u32 - 0xfee0).unwrap_or(c);
            return Some(narrow.to_ascii_lowercase());
        }
        '\u{3000}' | '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' => return Some(' '),
        // Combining marks, zero-width characters, variation selectors, Arabic vowel marks and
        // tatweel, nukta.
        '\u{300}'..='\u{36f}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'
        | '\u{feff}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{64b}'..='\u{65f}'
        | '\u{670}'
        | '\u{640}'
        | '\u{93c}'
        | '\u{ad}' => return None,
        '\u{2018}' | '\u{2019}' | '\u{2bc}' | '\u{b4}' => return Some('\''),
        _ => c,
    };
    Some(match c {
        '\u{c0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' => latin(c),
        '\u{410}'..='\u{42f}' => char::from_u32(c as u32 + 0x20).unwrap_or(c),
        'ё' | 'Ё' => 'е',
        '\u{400}'..='\u{40f}' => char::from_u32(c as u32 + 0x50).unwrap_or(c),
        'أ' | 'إ' | 'آ' | 'ٱ' => 'ا',
        'ة' => 'ه',
        'ى' | 'ی' => 'ي',
        'ک' => 'ك',
        '\u{958}'..='\u{95f}' => devanagari_without_nukta(c),
        'ँ' => 'ं',
        '\u{4e00}'..='\u{9fff}' => simplified(c),
        _ if c.is_uppercase() => c.to_lowercase().next().unwrap_or(c),
        _ => c,
    })
}

/// Returns a Latin letter without its diacritics, in lower case.
fn latin(c: char) -> char {
    match c {
        'À'..='Å' | 'à'..='å' | 'Ā'..='ą' | 'Ǎ' | 'ǎ' => 'a',
        'Æ' | 'æ' => 'a',
        'Ç' | 'ç' | 'Ć'..='č' => 'c',
        'Ď'..='đ' | 'Ð' | 'ð' => 'd',
        'È'..='Ë' | 'è'..='ë' | 'Ē'..='ě' => 'e',
        'Ĝ'..='ģ' => 'g',
        'Ĥ'..='ħ' => 'h',
        'Ì'..='Ï' | 'ì'..='ï' | 'Ĩ'..='ı' => 'i',
        'Ĵ' | 'ĵ' => 'j',
        'Ķ' | 'ķ' => 'k',
        'Ĺ'..='ł' => 'l',
        'Ñ' | 'ñ' | 'Ń'..='ŋ' => 'n',
        'Ò'..='Ö' | 'Ø' | 'ò'..='ö' | 'ø' | 'Ō'..='œ' => 'o',
        'Ŕ'..='ř' => 'r',
        'Ś'..='š' | 'Ș' | 'ș' | 'ẞ' | 'ß' => 's',
        'Ţ'..='ŧ' | 'Ț' | 'ț' => 't',
        'Ù'..='Ü' | 'ù'..='ü' | 'Ũ'..='ų' => 'u',
        'Ŵ' | 'ŵ' => 'w',
        'Ý' | 'ý' | 'ÿ' | 'Ŷ'..='Ÿ' => 'y',
        'Ź'..='ž' => 'z',
        _ => c.to_lowercase().next().unwrap_or(c),
    }
}

/// The eight precomposed Devanagari letters with a nukta, mapped to the letter without it, as most
/// people type them.
fn devanagari_without_nukta(c: char) -> char {
    match c {
        '\u{958}' => 'क',
        '\u{959}' => 'ख',
        '\u{95a}' => 'ग',
        '\u{95b}' => 'ज',
        '\u{95c}' => 'ड',
        '\u{95d}' => 'ढ',
        '\u{95e}' => 'फ',
        '\u{95f}' => 'य',
        _ => c,
    }
}

/// Pairs of a traditional (or Japanese) character and its simplified form, sorted by the first.
const SIMPLIFIED: &[(char, char)] = &include!("simplified.in");

fn simplified(c: char) -> char {
    SIMPLIFIED
        .binary_search_by_key(&c, |pair| pair.0)
        .ok()
        .and_then(|at| SIMPLIFIED.get(at))
        .map_or(c, |pair| pair.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(text: &str) -> String {
        text.chars().filter_map(fold).collect()
    }

    #[test]
    fn spellings_of_one_word_become_one() {
        for (left, right) in [
            ("ANIMACIÓN", "animacion"),
            ("Ｖｉｄｅｏ", "video"),
            ("İstanbul ışık", "istanbul isik"),
            ("cafe\u{301}", "café"),
            ("أضف", "اضف"),
            ("Ещё", "еще"),
            ("動畫", "动画"),
            ("फ़ोटो", "फोटो"),
        ] {
            assert_eq!(folded(left), folded(right), "{left}");
        }
    }

    #[test]
    fn the_table_of_simplified_characters_is_sorted() {
        assert!(SIMPLIFIED.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
