SELECT events.id, events.project_id, events.type, events.at, events.image_id, events.owner, events.member_id, events.actor_project_id, events.actor_user_id, events.actor_is_operator, events.request_id, events.data 
FROM events 
WHERE (events.project_id > %(project_id)s OR events.project_id = %(project_id)s AND events.id > %(after)s) AND (events.project_id < %(project_id)s OR events.project_id = %(project_id)s AND events.id <= %(last)s) ORDER BY events.project_id, events.id 
 LIMIT %(rows)s
