mod nested;
mod results;
mod workflows;
