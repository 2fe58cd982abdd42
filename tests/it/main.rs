mod control_plane;
mod house;
mod plane;
