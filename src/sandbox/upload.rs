//! Uploads of files to an app, in pieces (Graph API, "Resumable Upload API").

use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use super::call::{Call, UPLOAD};
use super::envelope::Refusal;
use super::part::Upload;
use super::random::hash;
use super::state::{Caller, State};
use super::world::App;

/// Types of files that are taken.
const TYPES: &[&str] = &["image/jpeg", "image/jpg", "image/png", "application/pdf", "video/mp4"];
/// A larger picture of a profile is refused (On-Premises API, "Profile: Photo").
const LARGEST_PICTURE: usize = 5 * 1024 * 1024;

impl State {
    pub(super) fn start_upload(&mut self, call: &Call, caller: &Caller, app: &str) -> Result<Value, Refusal> {
        if caller.app.id != app {
            return Err(self.unsupported(call));
        }
        call.required("file_name")?;
        let length = call.required("file_length")?.parse::<usize>().ok().filter(|length| *length > 0);
        let length = length.ok_or_else(|| Refusal::invalid("file_length is a number of bytes"))?;
        if !TYPES.contains(&call.required("file_type")?.as_str()) {
            return Err(Refusal::invalid("file_type is not one of the known types"));
        }
        let number = self.uploads.len() + self.handles.len();
        let id = format!("{UPLOAD}MTphdHRhY2htZW50{number:08x}==");
        let signature = format!("ARZ{:016x}", hash(id.as_bytes()));
        let body = json!({"id": format!("{id}?sig={signature}")});
        self.uploads.insert(id, Upload { app: app.to_owned(), length, signature, bytes: Vec::new() });
        Ok(body)
    }

    pub(super) fn upload_offset(&mut self, call: &Call, caller: &Caller, id: &str) -> Result<Value, Refusal> {
        let upload = self.upload(call, caller, id)?;
        Ok(json!({"id": format!("{id}?sig={}", upload.signature), "file_offset": upload.bytes.len()}))
    }

    pub(super) fn take_part(&mut self, call: &Call, caller: &Caller, id: &str) -> Result<Value, Refusal> {
        let part = call.part.clone().unwrap_or_default();
        let now = self.now().as_second();
        let upload = self.upload(call, caller, id).map_err(Refusal::upload)?;
        if part.offset != Some(upload.bytes.len()) {
            return Err(Refusal::invalid("file_offset is not where the file goes on").upload());
        }
        if upload.bytes.len() + part.bytes.len() > upload.length {
            return Err(Refusal::invalid("the file is longer than file_length").upload());
        }
        upload.bytes.extend(part.bytes);
        if upload.bytes.len() < upload.length {
            return Err(Refusal::invalid("the file is not whole yet").upload());
        }
        let handle =
            format!("4:cGljdHVyZQ==:image:{:016x}:e:{}:{}", hash(id.as_bytes()), now + 86_400, upload.app);
        let whole = upload.clone();
        self.handles.insert(handle.clone(), whole);
        Ok(json!({"h": handle}))
    }

    fn upload(&mut self, call: &Call, caller: &Caller, id: &str) -> Result<&mut Upload, Refusal> {
        let missing = self.unsupported(call);
        let is_its = |upload: &&mut Upload| {
            upload.app == caller.app.id && call.text("sig").as_deref() == Some(upload.signature.as_str())
        };
        self.uploads.get_mut(id).filter(is_its).ok_or(missing)
    }

    /// The sum of the picture behind a handle, if it is one that a profile takes.
    pub(super) fn picture(&self, app: &App, handle: &str) -> Result<String, Refusal> {
        let file = self.handles.get(handle).filter(|file| file.app == app.id);
        let bytes =
            &file.ok_or_else(|| Refusal::invalid("profile_picture_handle is no handle of the app"))?.bytes;
        let is_picture = bytes.starts_with(b"\xff\xd8\xff") || bytes.starts_with(b"\x89PNG\r\n\x1a\n");
        if !is_picture || bytes.len() > LARGEST_PICTURE {
            return Err(Refusal::invalid("the file is no JPEG or PNG of at most 5 MB"));
        }
        Ok(digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
    }
}
