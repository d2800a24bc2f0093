mod limits;
mod parking;
