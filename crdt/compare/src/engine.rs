//! What is asked of each library.

use crate::work::{Edit, Kind};

/// A replica of a document.
pub trait Engine: Sized {
    /// The name of the library.
    const NAME: &'static str;

    /// Whether it has a type of this kind.
    fn knows(kind: Kind) -> bool;

    /// An empty document, of the replica with this number.
    fn new(replica: u64) -> anyhow::Result<Self>;

    /// Edits the document, and says what others have to be sent.
    fn edit(&mut self, edit: &Edit) -> anyhow::Result<Vec<u8>>;

    /// Takes in what another replica sent.
    fn receive(&mut self, update: &[u8]) -> anyhow::Result<()>;

    /// Everything, to be loaded again.
    fn save(&mut self) -> anyhow::Result<Vec<u8>>;

    /// A replica with what was saved.
    fn load(saved: &[u8]) -> anyhow::Result<Self>;

    /// The value of this kind, as JSON text.
    fn value(&self, kind: Kind) -> anyhow::Result<String>;
}
