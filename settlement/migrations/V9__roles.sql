-- Who performs a task that only one process at a time performs. The holder renews its row, and loses it when it does not.
CREATE TABLE role (
    name       text        PRIMARY KEY,
    holder     text        NOT NULL,
    renewed_at timestamptz NOT NULL
);
