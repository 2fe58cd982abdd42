//! Pictures: what the bytes of a source are, by their content.
//!
//! Only the header is read. Nothing is decoded, so a small file that unfolds to a huge picture costs nothing here. They have
//! some room in memory together, whoever has them read.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use imagesize::{ImageType, blob_size, image_type};
use ring::digest::{SHA256, digest};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::engine::picture::{PictureFact, PictureKind};

/// Most bytes of a picture (Meta, On-Premises API, "Profile: Photo").
pub const MOST_BYTES: usize = 5 * 1024 * 1024;
/// Least pixels of a side: below it Meta may fail (same page).
const LEAST_SIDE: usize = 192;
/// Most pixels of a side. Meta names no limit, and shows at most 640; a larger picture is a mistake, or meant to harm.
const MOST_SIDE: usize = 8192;

/// For pictures that are in memory at the same time: their bytes, how many they are, and how many of one namespace.
const ROOM: usize = 32 * 1024 * 1024;
const PLACES: usize = 16;
const PLACES_OF_ONE: usize = 4;
/// Whoever finds no room waits this long.
const WAIT: Duration = Duration::from_secs(10);

/// The room for pictures. Who writes manifests decides how many there are and how large, and who serves them how long they
/// stay.
#[derive(Debug)]
pub struct Room {
    bytes: Arc<Semaphore>,
    places: Arc<Semaphore>,
    places_of_one: usize,
    /// Of the namespaces with pictures in it.
    own: Mutex<HashMap<Box<str>, Arc<Semaphore>>>,
}

/// What one picture has of the room.
#[derive(Debug)]
pub struct Place {
    bytes: OwnedSemaphorePermit,
    _place: (OwnedSemaphorePermit, OwnedSemaphorePermit),
}

impl Room {
    pub fn new(bytes: usize, places: usize, places_of_one: usize) -> Self {
        let all = |count| Arc::new(Semaphore::new(count));
        Self { bytes: all(bytes), places: all(places), places_of_one, own: Mutex::default() }
    }

    /// That of the process.
    pub fn of_process() -> &'static Self {
        static OF_PROCESS: LazyLock<Room> = LazyLock::new(|| Room::new(ROOM, PLACES, PLACES_OF_ONE));
        &OF_PROCESS
    }

    /// A place for a picture of this namespace, if one comes free in time.
    pub async fn place(&self, namespace: &str) -> Option<Place> {
        let own = {
            let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
            own.retain(|_, places| Arc::strong_count(places) > 1);
            let places = own.entry(namespace.into());
            places.or_insert_with(|| Arc::new(Semaphore::new(self.places_of_one))).clone()
        };
        let place = async {
            // Those of one namespace wait among themselves.
            let own = own.acquire_owned().await.ok()?;
            Some((own, self.places.clone().acquire_owned().await.ok()?))
        };
        let place = timeout(WAIT, place).await.ok()??;
        Some(Place { bytes: self.bytes.clone().try_acquire_many_owned(0).ok()?, _place: place })
    }

    #[cfg(test)]
    pub fn left(&self) -> (usize, usize) {
        (self.bytes.available_permits(), self.places.available_permits())
    }
}

impl Place {
    /// Takes so many bytes more, if there is room for them.
    pub fn take(&mut self, more: usize) -> bool {
        let all = self.bytes.semaphore().clone();
        let taken = u32::try_from(more).ok().and_then(|more| all.try_acquire_many_owned(more).ok());
        taken.map(|taken| self.bytes.merge(taken)).is_some()
    }

    /// The same, and waits for it. Only for what has none yet: two that have some would wait for each other.
    pub async fn wait_for(&mut self, bytes: usize) -> bool {
        let all = self.bytes.semaphore().clone();
        let Ok(bytes) = u32::try_from(bytes) else { return false };
        let Ok(Ok(taken)) = timeout(WAIT, all.acquire_many_owned(bytes)).await else { return false };
        self.bytes.merge(taken);
        true
    }

    /// Gives back all but this.
    fn keep(&mut self, bytes: usize) {
        drop(self.bytes.split(self.bytes.num_permits().saturating_sub(bytes)));
    }
}

/// Bytes with what they have of the room.
struct Held {
    bytes: Bytes,
    _place: Place,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// One read of the source of a picture.
#[derive(Clone, Debug)]
pub enum PictureBytes {
    Found(Bytes),
    /// This Secret does not have the label that permits its use.
    Unlabelled(String),
    /// It is not there, or may not be read: why, and what to do.
    Unusable(String),
    /// Could not be read now, with why.
    Failed(String),
    /// Not read: too many others are in memory.
    NoRoom,
}

impl PictureBytes {
    /// With the place of what was found, which ends when nobody has the bytes any more.
    #[must_use]
    pub fn in_place(self, mut place: Place) -> Self {
        match self {
            Self::Found(bytes) => {
                place.keep(bytes.len());
                Self::Found(Bytes::from_owner(Held { bytes, _place: place }))
            }
            other => other,
        }
    }
}

/// A picture that may be uploaded.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    pub bytes: Bytes,
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
        PictureBytes::NoRoom => return (PictureFact::NoRoom, None),
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
        match checked(PictureBytes::Found(bytes.into())) {
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

    /// A picture of this size, read to its end.
    async fn of_size(room: &Room, namespace: &str, bytes: usize) -> PictureBytes {
        let Some(mut place) = room.place(namespace).await else { return PictureBytes::NoRoom };
        if !place.wait_for(bytes).await {
            return PictureBytes::NoRoom;
        }
        PictureBytes::Found(vec![0; bytes].into()).in_place(place)
    }

    fn is_found(read: &PictureBytes) -> bool {
        matches!(read, PictureBytes::Found(_))
    }

    #[tokio::test(start_paused = true)]
    async fn many_at_once_take_no_more_than_the_room_and_who_found_none_finds_it_later() {
        let room = Room::new(1_000, 100, 100);
        let reads = (0..50).map(|n| of_size(&room, if n % 2 == 0 { "a" } else { "b" }, 150));
        let mut reads = futures::future::join_all(reads).await;
        let found = reads.iter().filter(|read| is_found(read)).count();
        assert_eq!((found, room.left()), (6, (100, 94)));
        // Whoever has a part of the bytes on the way keeps the room of all.
        let PictureBytes::Found(first) = reads.swap_remove(0) else { panic!("the first is found") };
        let sent = first.slice(140..);
        drop(first);
        assert_eq!(room.left().0, 100);
        assert!(!is_found(&of_size(&room, "a", 150).await));
        drop(sent);
        let later = of_size(&room, "a", 200).await;
        assert_eq!((is_found(&later), room.left().0), (true, 50));
        drop((reads, later));
        assert_eq!(room.left(), (1_000, 100));
    }

    #[tokio::test(start_paused = true)]
    async fn one_namespace_leaves_places_to_others_and_waits_among_itself() {
        let room = Room::new(1_000, 4, 2);
        let loud = futures::future::join_all((0..20).map(|_| of_size(&room, "loud", 1))).await;
        assert_eq!(loud.iter().filter(|read| is_found(read)).count(), 2);
        let quiet = of_size(&room, "quiet", 1).await;
        assert!(is_found(&quiet));
        // One that waits gets the place of the next that is let go.
        let (next, ()) = futures::join!(of_size(&room, "loud", 1), async { drop(loud) });
        assert!(is_found(&next));
        drop(next);
        assert!(is_found(&of_size(&room, "other", 1).await));
        assert_eq!(room.own.lock().expect("sound").len(), 2, "a namespace without pictures is forgotten");
    }

    #[tokio::test]
    async fn what_comes_slowly_has_room_for_what_came_and_what_is_found_for_no_more_than_it_has() {
        let room = Room::new(100, 4, 4);
        let mut slow = room.place("a").await.expect("a place");
        assert!(slow.take(10) && slow.take(20));
        assert_eq!(room.left(), (70, 3));
        let mut other = room.place("a").await.expect("a place");
        assert!(other.take(60) && !other.take(20) && other.take(10));
        let found = PictureBytes::Found(Bytes::from_static(b"abc")).in_place(other);
        assert_eq!(room.left(), (67, 2));
        assert!(!slow.take(usize::MAX));
        drop((found, slow));
        assert_eq!(room.left(), (100, 4));
    }

    #[test]
    fn the_sum_is_that_of_the_bytes_as_they_are() {
        let (fact, picture) = checked(PictureBytes::Found(png(640, 640).into()));
        let picture = picture.expect("a picture");
        assert_eq!(fact, PictureFact::Usable { sum: picture.sum.clone() });
        assert_eq!(picture.bytes, png(640, 640));
        assert_eq!(hex(digest(&SHA256, b"abc").as_ref())[..16], *"ba7816bf8f01cfea");
    }
}
