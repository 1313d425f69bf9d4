-- Gives a role up, so that another process need not wait.
DELETE FROM role WHERE name = :name AND holder = :holder
