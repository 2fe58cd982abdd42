mod control_plane;
mod manifest;
mod house;
mod plane;
