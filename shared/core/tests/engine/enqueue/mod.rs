mod batch;
mod unique;
