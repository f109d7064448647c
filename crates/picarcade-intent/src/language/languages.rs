//! The list of languages.

use super::arabic::ARABIC;
use super::chinese::CHINESE;
use super::english::ENGLISH;
use super::french::FRENCH;
use super::german::GERMAN;
use super::hindi::HINDI;
use super::italian::ITALIAN;
use super::japanese::JAPANESE;
use super::korean::KOREAN;
use super::portuguese::PORTUGUESE;
use super::russian::RUSSIAN;
use super::spanish::SPANISH;
use super::table::Language;
use super::turkish::TURKISH;

/// Every language that has a table.
pub(crate) static LANGUAGES: [Language; 13] = [
    ARABIC, CHINESE, ENGLISH, FRENCH, GERMAN, HINDI, ITALIAN, JAPANESE, KOREAN, PORTUGUESE, RUSSIAN, SPANISH,
    TURKISH,
];
