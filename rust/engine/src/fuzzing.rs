//! What the fuzz targets drive and nothing else outside of this crate needs:
//! the code that bytes from outside meet first.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

pub use crate::buffers::receive::ReceiveBuffer;
use crate::net::http::{HttpLimits, RequestPolicy, read_response};

/// The body of the HTTP response that comes over `connection`, unpacked. `None`
/// for what is no response, and for one of more than `limit` bytes.
pub async fn http_answer(
    connection: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    limit: usize,
) -> Option<Vec<u8>> {
    let limits = HttpLimits {
        silence: Duration::from_secs(60),
        body: limit,
        user_agent: String::new(),
        validate: true,
        policy: RequestPolicy {
            local_path: None,
            filtered: false,
        },
    };
    let response = read_response(connection, &limits).await.ok()?;
    Some(response.bytes)
}
