mod control_plane;
mod plane;
