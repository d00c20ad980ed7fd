//! x
/// x
pub fn name(id: crate::ids::PeerId) -> String {
    id.to_string()
}
