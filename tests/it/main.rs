mod control_plane;
mod plane;
mod proof;
