//! Uploads: a session of the app, the bytes, and the rest of them where the connection broke (Graph API, "Resumable
//! Upload API").
//!
//! The id of a session and the handle of what was uploaded are as good as keys. They are kept nowhere and never shown.

use bytes::Bytes;
use secrecy::{ExposeSecret, SecretString};

use super::{
    budget::Claim,
    call::{Call, Trouble},
    client::GraphClient,
    edge::Edge,
    json,
};
use crate::engine::{failure::Failure, look::Urgency, picture::PictureKind};

/// Times that bytes are sent, the first included.
const TRIES: usize = 3;
/// The longest id or handle that is believed.
const LONGEST: usize = 8 * 1024;

impl GraphClient {
    /// Uploads a picture to the app of the token. Gives back its handle.
    pub(super) async fn upload(&self, bytes: &Bytes, kind: PictureKind) -> Result<SecretString, Failure> {
        let app = self.learnt_app().or_else(|| self.credential.app.clone());
        let app = app.ok_or_else(|| Failure::NotSent("the app of the token is not known".into()))?;
        let extension = match kind {
            PictureKind::Jpeg => "jpg",
            PictureKind::Png => "png",
        };
        let query = vec![
            ("file_name", format!("picture.{extension}")),
            ("file_length", bytes.len().to_string()),
            ("file_type", kind.as_str().into()),
        ];
        let call = Call { query, ..about(Edge::StartUpload, app.as_str(), Claim::Write) };
        let answer = self.call(&call).await.map_err(Trouble::into_failure)?;
        let session = json::text(&answer, "id").filter(|id| is_session(id)).map(SecretString::from);
        let session =
            session.ok_or_else(|| Failure::NoAnswer("Meta did not tell the id of the upload".into()))?;
        let mut offset = 0;
        let mut tries = 1;
        loop {
            let failure = match self.send(&session, offset, bytes).await {
                Ok(handle) => return Ok(handle),
                Err(failure) => failure,
            };
            if tries == TRIES || !may_go_on(&failure) {
                return Err(failure);
            }
            tries += 1;
            offset = self.offset(&session).await?.min(bytes.len());
        }
    }

    async fn send(
        &self,
        session: &SecretString,
        offset: usize,
        bytes: &Bytes,
    ) -> Result<SecretString, Failure> {
        let call = about(Edge::SendUpload, session.expose_secret(), Claim::Write);
        let call = Call { bytes: Some((offset, bytes)), secret: Some(session), ..call };
        let answer = self.call(&call).await.map_err(Trouble::into_failure)?;
        let handle = json::text(&answer, "h").filter(|handle| !handle.is_empty() && handle.len() <= LONGEST);
        let handle = handle.map(SecretString::from);
        handle.ok_or_else(|| Failure::NoAnswer("Meta did not tell the handle of the upload".into()))
    }

    /// How many bytes came.
    async fn offset(&self, session: &SecretString) -> Result<usize, Failure> {
        // It is a part of the write, and as urgent.
        let call = about(Edge::UploadOffset, session.expose_secret(), Claim::Read(Urgency::Person));
        let call = Call { secret: Some(session), ..call };
        let answer = self.call(&call).await.map_err(Trouble::into_failure)?;
        let came = json::integer(&answer, "file_offset").and_then(|came| usize::try_from(came).ok());
        came.ok_or_else(|| Failure::NoAnswer("Meta did not tell how much of the upload came".into()))
    }
}

fn about(edge: Edge, node: &str, claim: Claim) -> Call<'_> {
    Call { claim, ..Call::read(edge, None, node, claim) }
}

/// Whether the bytes may have broken off on the way.
fn may_go_on(failure: &Failure) -> bool {
    match failure {
        Failure::NoAnswer(_) => true,
        Failure::Refused(refusal) => refusal.may_have_happened(),
        Failure::TooLarge(_) | Failure::NotSent(_) | Failure::Throttled(_) | Failure::NoRoom(_) => false,
    }
}

/// It becomes a path and a query: nothing that leads elsewhere is one.
fn is_session(id: &str) -> bool {
    let is_plain = |byte: u8| {
        byte.is_ascii_graphic() && !matches!(byte, b'/' | b'\\' | b'#' | b'%' | b'"' | b'<' | b'>')
    };
    id.len() <= LONGEST
        && id.strip_prefix("upload:").is_some_and(|rest| {
            let (path, _) = rest.split_once('?').unwrap_or((rest, ""));
            !path.is_empty()
        })
        && id.split_once('?').map_or(id, |(path, _)| path).bytes().all(is_plain)
        && id.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_an_upload_leads_nowhere_else() {
        for id in ["upload:MTIz?sig=ARZ", "upload:MTphdHRhY2htZW50Og==?sig=AR_x-1", "upload:abc"] {
            assert!(is_session(id), "{id}");
        }
        for id in [
            "",
            "upload:",
            "upload:?sig=1",
            "123?sig=1",
            "upload:../me?x=1",
            "upload:a/b",
            "upload:a#b",
            "upload:a?sig=1#b",
            "upload:a b",
            "upload:a?sig=1\r\nHost: x",
            "upload:%2e%2e",
        ] {
            assert!(!is_session(id), "{id}");
        }
        assert!(!is_session(&format!("upload:{}", "x".repeat(LONGEST))));
    }
}
