//! Pictures: what the bytes of a source are, by their content.
//!
//! Only the header is read. Nothing is decoded, so a small file that unfolds to a huge picture costs nothing here.

use imagesize::{ImageType, blob_size, image_type};
use ring::digest::{SHA256, digest};

use crate::engine::picture::{PictureFact, PictureKind};

/// Most bytes of a picture (Meta, On-Premises API, "Profile: Photo").
pub const MOST_BYTES: usize = 5 * 1024 * 1024;
/// Least pixels of a side: below it Meta may fail (same page).
const LEAST_SIDE: usize = 192;
/// Most pixels of a side. Meta names no limit, and shows at most 640; a larger picture is a mistake, or meant to harm.
const MOST_SIDE: usize = 8192;

/// One read of the source of a picture.
#[derive(Clone, Debug)]
pub enum PictureBytes {
    Found(Vec<u8>),
    /// This Secret does not have the label that permits its use.
    Unlabelled(String),
    /// It is not there, or may not be read: why, and what to do.
    Unusable(String),
    /// Could not be read now, with why.
    Failed(String),
}

/// A picture that may be uploaded.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    pub bytes: Vec<u8>,
    pub kind: PictureKind,
    /// SHA-256 of the bytes, in hex.
    pub sum: String,
}

/// What a read means, and the picture if it is one.
pub fn checked(read: PictureBytes) -> (PictureFact, Option<Picture>) {
    let bytes = match read {
        PictureBytes::Found(bytes) => bytes,
        PictureBytes::Unlabelled(secret) => return (PictureFact::Unlabelled(secret), None),
        PictureBytes::Unusable(why) => return (PictureFact::Unusable(why), None),
        PictureBytes::Failed(why) => return (PictureFact::Unreadable(why), None),
    };
    match kind(&bytes) {
        Ok(kind) => {
            let sum = hex(digest(&SHA256, &bytes).as_ref());
            (PictureFact::Usable { sum: sum.clone() }, Some(Picture { bytes, kind, sum }))
        }
        Err(why) => (PictureFact::Unusable(why), None),
    }
}

/// What the bytes are, whatever a name or a header says.
fn kind(bytes: &[u8]) -> Result<PictureKind, String> {
    if bytes.is_empty() {
        return Err("it is empty; put a JPEG or PNG there".into());
    }
    if bytes.len() > MOST_BYTES {
        return Err(too_large());
    }
    let kind = match image_type(bytes) {
        Ok(ImageType::Jpeg) => PictureKind::Jpeg,
        Ok(ImageType::Png) => PictureKind::Png,
        _ => {
            return Err(
                "its content is neither JPEG nor PNG, whatever its name says; put a JPEG or PNG there".into(),
            );
        }
    };
    let size = blob_size(bytes).map_err(|_| {
        "its content begins as a JPEG or PNG and is none; export the picture again".to_owned()
    })?;
    let (width, height) = (size.width, size.height);
    if width.min(height) < LEAST_SIDE || width.max(height) > MOST_SIDE {
        return Err(format!(
            "it has {width} x {height} pixels; each side must have {LEAST_SIDE} to {MOST_SIDE}, and 640 x 640 is best"
        ));
    }
    Ok(kind)
}

/// More than Meta takes.
pub fn too_large() -> String {
    format!(
        "it has more than {} MB, which Meta does not take; make the picture smaller",
        MOST_BYTES / 1024 / 1024
    )
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|half| char::from_digit(half.into(), 16))
        .collect()
}

/// The beginning of a PNG of this size, which is as much of it as is looked at here.
pub fn png(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    bytes.extend(width.to_be_bytes());
    bytes.extend(height.to_be_bytes());
    bytes.extend([8, 2, 0, 0, 0]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The beginning of a JPEG of this size.
    fn jpeg(width: u16, height: u16) -> Vec<u8> {
        let mut bytes = b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0\xff\xc0\0\x11\x08".to_vec();
        bytes.extend(height.to_be_bytes());
        bytes.extend(width.to_be_bytes());
        bytes.extend(b"\x03\x01\x22\0\x02\x11\x01\x03\x11\x01");
        bytes
    }

    fn says(bytes: Vec<u8>) -> String {
        match checked(PictureBytes::Found(bytes)) {
            (PictureFact::Usable { .. }, Some(picture)) => format!("{:?}", picture.kind),
            (PictureFact::Unusable(why), None) => why,
            (fact, _) => panic!("{fact:?}"),
        }
    }

    #[test]
    fn a_picture_is_known_by_its_content_and_measured_by_its_header() {
        assert_eq!((says(png(640, 640)), says(jpeg(640, 480))), ("Png".into(), "Jpeg".into()));
        assert_eq!((says(png(192, 8192)), says(jpeg(192, 192))), ("Png".into(), "Jpeg".into()));
        for (bytes, why) in [
            (Vec::new(), "it is empty"),
            (b"<html>a login page</html>".to_vec(), "neither JPEG nor PNG"),
            (b"GIF89a\x80\x02\x80\x02\0\0\0".to_vec(), "neither JPEG nor PNG"),
            (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec(), "is none"),
            (b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01".to_vec(), "is none"),
            (png(191, 640), "it has 191 x 640 pixels"),
            (jpeg(640, 100), "it has 640 x 100 pixels"),
            (png(65_535, 65_535), "it has 65535 x 65535 pixels"),
            (png(u32::MAX, 640), "pixels"),
            ([png(640, 640), vec![0; MOST_BYTES]].concat(), "more than 5 MB"),
        ] {
            let said = says(bytes);
            assert!(said.contains(why), "{said}");
        }
    }

    #[test]
    fn the_sum_is_that_of_the_bytes_as_they_are() {
        let (fact, picture) = checked(PictureBytes::Found(png(640, 640)));
        let picture = picture.expect("a picture");
        assert_eq!(fact, PictureFact::Usable { sum: picture.sum.clone() });
        assert_eq!(picture.bytes, png(640, 640));
        assert_eq!(hex(digest(&SHA256, b"abc").as_ref())[..16], *"ba7816bf8f01cfea");
    }
}
