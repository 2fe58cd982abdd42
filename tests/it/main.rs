mod control_plane;
mod manifest;
mod plane;
